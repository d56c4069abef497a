//! The API keys, each with its place in a usage plan or with none.
//!
//! The gateway meters by them, and `management` changes them as AWS's own API does, so a change counts from the next
//! request on. Every usage plan is for the one stage that there is, and a key can be in one plan of a stage only: so a
//! key has a plan, or none.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-key-source.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ulid::Ulid;

use crate::files;

const FILE: &str = "api-keys.json";

/// How long the value of a key may be, in letters and digits.
const VALUE_LENGTH: RangeInclusive<usize> = 20..=128;

/// How long AWS's own identifiers are.
const ID_LENGTH: usize = 10;

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// By which it is managed.
    pub id: String,
    /// What an authorizer names it by.
    pub value: String,
    /// For people. Several keys may have the same.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// The marketplace's, who is of no account here.
    pub customer_id: Option<String>,
    /// Whether requests pass with it.
    pub enabled: bool,
    /// The name of the plan that it has its place in.
    pub plan: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it was last changed, in seconds since 1970.
    pub updated: i64,
}

/// What a key is made from.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// [`ApiKey::value`]; without one it is made up.
    pub value: Option<String>,
    /// [`ApiKey::name`].
    pub name: Option<String>,
    /// [`ApiKey::description`].
    pub description: Option<String>,
    /// [`ApiKey::customer_id`].
    pub customer_id: Option<String>,
    /// [`ApiKey::enabled`].
    pub enabled: bool,
    /// [`ApiKey::tags`].
    pub tags: BTreeMap<String, String>,
}

/// What is changed of a key; `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyChange {
    /// [`ApiKey::name`].
    pub name: Option<String>,
    /// [`ApiKey::description`].
    pub description: Option<String>,
    /// [`ApiKey::customer_id`].
    pub customer_id: Option<String>,
    /// [`ApiKey::enabled`].
    pub enabled: Option<bool>,
}

/// Why a key cannot be made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The value has a wrong form.
    #[error("API Key value should be 20 to 128 letters and digits")]
    Value,
    /// Another key has the value.
    #[error("API Key already exists")]
    Exists,
    /// There is no key of that id.
    #[error("Invalid API Key identifier specified")]
    Unknown,
    /// The key has a place in this plan or in another.
    #[error("API Key is in a usage plan of this API stage already")]
    HasPlan,
    /// The key has no place in this plan.
    #[error("Invalid Usage Plan Key identifier specified")]
    NotInPlan,
}

/// The API keys with their plans. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    registry: Arc<Mutex<Registry>>,
    /// Where they are kept.
    file: Option<Arc<PathBuf>>,
}

#[derive(Debug, Default)]
struct Registry {
    keys: BTreeMap<String, ApiKey>,
    /// The ids, by value. A value never changes.
    ids: HashMap<String, String>,
}

impl ApiKeys {
    /// The file that keeps the keys of a folder.
    #[must_use]
    pub(crate) fn file(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// The keys that a folder keeps, and will keep.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let file = Self::file(folder);
        let keys: Vec<ApiKey> = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut registry = Registry::default();
        for key in keys {
            registry.insert(key);
        }
        Ok(Self { registry: Arc::new(Mutex::new(registry)), file: Some(Arc::new(file)) })
    }

    /// Gives the key of this value a place in a plan, enabled. A plan that it had before is left.
    pub fn put(&self, value: &str, plan: &str) {
        self.change(|registry| {
            let mut key = match registry.of_value(value) {
                Some(key) => key.clone(),
                None => NewKey { value: Some(value.to_owned()), ..NewKey::default() }.into(),
            };
            (key.plan, key.enabled) = (Some(plan.to_owned()), true);
            registry.insert(key);
        });
    }

    /// Makes a key again that was lost, with the id that it had.
    pub(crate) fn restore(&self, id: &str, value: &str, plan: Option<&str>, enabled: bool) {
        let new = NewKey { value: Some(value.to_owned()), enabled, ..NewKey::default() };
        let key = ApiKey { id: id.to_owned(), plan: plan.map(str::to_owned), ..new.into() };
        self.change(|registry| registry.insert(key));
    }

    /// Enables or disables a key, if there is one.
    pub fn set_enabled(&self, value: &str, enabled: bool) {
        self.change(|registry| {
            if let Some(key) = registry.ids.get(value).and_then(|id| registry.keys.get_mut(id)) {
                key.enabled = enabled;
            }
        });
    }

    /// Removes a key, if there is one.
    pub fn remove(&self, value: &str) {
        self.change(|registry| {
            if let Some(id) = registry.ids.remove(value) {
                registry.keys.remove(&id);
            }
        });
    }

    /// The key of this value.
    #[must_use]
    pub fn find(&self, value: &str) -> Option<ApiKey> {
        self.lock().of_value(value).cloned()
    }

    /// The key of this id.
    pub fn get(&self, id: &str) -> Result<ApiKey, KeyError> {
        self.lock().keys.get(id).cloned().ok_or(KeyError::Unknown)
    }

    /// All keys, by id.
    #[must_use]
    pub fn list(&self) -> Vec<ApiKey> {
        self.lock().keys.values().cloned().collect()
    }

    /// Makes a key. It has no plan.
    pub fn create(&self, new: NewKey) -> Result<ApiKey, KeyError> {
        let key = ApiKey::from(new);
        let letters_and_digits = key.value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !letters_and_digits || !VALUE_LENGTH.contains(&key.value.len()) {
            return Err(KeyError::Value);
        }
        self.change(|registry| {
            if registry.of_value(&key.value).is_some() {
                return Err(KeyError::Exists);
            }
            registry.insert(key.clone());
            Ok(key)
        })
    }

    /// Changes a key.
    pub(crate) fn update(&self, id: &str, change: KeyChange) -> Result<ApiKey, KeyError> {
        let KeyChange { name, description, customer_id, enabled } = change;
        self.edit(id, |key| {
            key.name = name.or(key.name.take());
            key.description = description.or(key.description.take());
            key.customer_id = customer_id.or(key.customer_id.take());
            key.enabled = enabled.unwrap_or(key.enabled);
            Ok(())
        })
    }

    /// Deletes a key, and with it its place in a plan.
    pub fn delete(&self, id: &str) -> Result<(), KeyError> {
        self.change(|registry| {
            let key = registry.keys.remove(id).ok_or(KeyError::Unknown)?;
            registry.ids.remove(&key.value);
            Ok(())
        })
    }

    /// Gives a key that has none a place in the plan of this name.
    pub fn join(&self, id: &str, plan: &str) -> Result<ApiKey, KeyError> {
        self.edit(id, |key| {
            if key.plan.is_some() {
                return Err(KeyError::HasPlan);
            }
            key.plan = Some(plan.to_owned());
            Ok(())
        })
    }

    /// Takes a key's place in the plan of this name away.
    pub fn leave(&self, id: &str, plan: &str) -> Result<(), KeyError> {
        self.edit(id, |key| {
            if key.plan.as_deref() != Some(plan) {
                return Err(KeyError::NotInPlan);
            }
            key.plan = None;
            Ok(())
        })
        .map(drop)
    }

    pub(super) fn enabled_plan(&self, value: &str) -> Option<String> {
        self.lock().of_value(value).filter(|key| key.enabled).and_then(|key| key.plan.clone())
    }

    fn edit(&self, id: &str, edit: impl FnOnce(&mut ApiKey) -> Result<(), KeyError>) -> Result<ApiKey, KeyError> {
        self.change(|registry| {
            let key = registry.keys.get_mut(id).ok_or(KeyError::Unknown)?;
            edit(key)?;
            key.updated = now();
            Ok(key.clone())
        })
    }

    /// Writes under the lock, so that what the file holds is never older than what was answered.
    fn change<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        let mut registry = self.lock();
        let result = change(&mut registry);
        if let Some(file) = &self.file
            && let Err(error) = registry.save(file)
        {
            tracing::error!(file = %file.display(), %error, "the API keys cannot be saved");
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn of_value(&self, value: &str) -> Option<&ApiKey> {
        self.ids.get(value).and_then(|id| self.keys.get(id))
    }

    fn insert(&mut self, key: ApiKey) {
        self.ids.insert(key.value.clone(), key.id.clone());
        self.keys.insert(key.id.clone(), key);
    }

    fn save(&self, file: &Path) -> io::Result<()> {
        let keys: Vec<_> = self.keys.values().collect();
        files::replace(file, &serde_json::to_vec_pretty(&keys)?)
    }
}

impl From<NewKey> for ApiKey {
    fn from(new: NewKey) -> Self {
        let NewKey { value, name, description, customer_id, enabled, tags } = new;
        let id = Ulid::generate().to_string().to_lowercase();
        let now = now();
        Self {
            // The last characters, which are random: the first are the time.
            id: id[id.len() - ID_LENGTH..].to_owned(),
            value: value.unwrap_or_else(|| format!("{}{}", Ulid::generate(), Ulid::generate())),
            name,
            description,
            customer_id,
            enabled,
            plan: None,
            tags,
            created: now,
            updated: now,
        }
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "01K0ACME000000000000000000";

    fn new(value: &str) -> NewKey {
        NewKey { value: Some(value.to_owned()), enabled: true, ..NewKey::default() }
    }

    #[test]
    fn a_value_is_20_to_128_letters_and_digits_and_unique() {
        let keys = ApiKeys::default();
        for value in ["a".repeat(19), "a".repeat(129), format!("{VALUE}-"), format!("{VALUE}é")] {
            assert_eq!(keys.create(new(&value)), Err(KeyError::Value), "{value}");
        }
        for value in ["a".repeat(20), "Z9".repeat(64)] {
            assert_eq!(keys.create(new(&value)).unwrap().value, value);
            assert_eq!(keys.create(new(&value)), Err(KeyError::Exists));
        }
        let made_up = keys.create(NewKey::default()).unwrap();
        assert!(VALUE_LENGTH.contains(&made_up.value.len()) && !made_up.enabled);
        assert_eq!(made_up.id.len(), ID_LENGTH);
        assert_eq!(keys.list().len(), 3);
    }

    #[test]
    fn a_key_has_one_plan_at_a_time() {
        let keys = ApiKeys::default();
        let id = keys.create(new(VALUE)).unwrap().id;
        assert_eq!(keys.enabled_plan(VALUE), None);
        assert_eq!(keys.join(&id, "free").unwrap().plan.as_deref(), Some("free"));
        for plan in ["free", "pro"] {
            assert_eq!(keys.join(&id, plan), Err(KeyError::HasPlan));
        }
        assert_eq!(keys.leave(&id, "pro"), Err(KeyError::NotInPlan));
        assert_eq!(keys.enabled_plan(VALUE).as_deref(), Some("free"));
        keys.leave(&id, "free").unwrap();
        assert_eq!(keys.leave(&id, "free"), Err(KeyError::NotInPlan));
        assert_eq!(keys.enabled_plan(VALUE), None);
        keys.join(&id, "pro").unwrap();
        assert_eq!(keys.enabled_plan(VALUE).as_deref(), Some("pro"));
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let keys = ApiKeys::default();
        let id = keys.create(NewKey { name: Some("acme".to_owned()), ..new(VALUE) }).unwrap().id;
        keys.join(&id, "free").unwrap();
        let off = keys.update(&id, KeyChange { enabled: Some(false), ..KeyChange::default() }).unwrap();
        assert_eq!((off.name.as_deref(), off.plan.as_deref(), off.enabled), (Some("acme"), Some("free"), false));
        assert_eq!(keys.enabled_plan(VALUE), None);
        let named = keys.update(&id, KeyChange { name: Some("globex".to_owned()), ..KeyChange::default() }).unwrap();
        assert_eq!((named.name.as_deref(), named.enabled), (Some("globex"), false));
    }

    #[test]
    fn a_key_that_is_deleted_is_gone_and_its_value_free() {
        let keys = ApiKeys::default();
        let id = keys.create(new(VALUE)).unwrap().id;
        keys.join(&id, "free").unwrap();
        keys.delete(&id).unwrap();
        assert_eq!(keys.enabled_plan(VALUE), None);
        assert_eq!(keys.delete(&id), Err(KeyError::Unknown));
        assert_eq!(keys.get(&id), Err(KeyError::Unknown));
        assert_eq!(keys.update(&id, KeyChange::default()), Err(KeyError::Unknown));
        assert_eq!(keys.join(&id, "free"), Err(KeyError::Unknown));
        let again = keys.create(new(VALUE)).unwrap();
        assert_eq!(again.plan, None);
        assert_ne!(again.id, id);
    }

    #[test]
    fn a_folder_keeps_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("data");
        let keys = ApiKeys::open(&folder).unwrap();
        let kept = || ApiKeys::open(&folder).unwrap().list();
        let tags = BTreeMap::from([("tenant".to_owned(), VALUE.to_owned())]);
        let id = keys.create(NewKey { tags, ..new(VALUE) }).unwrap().id;
        keys.put("other", "pro");
        assert_eq!(kept(), keys.list());
        keys.join(&id, "free").unwrap();
        assert_eq!(kept(), keys.list());
        keys.set_enabled(VALUE, false);
        assert_eq!(kept(), keys.list());
        keys.remove("other");
        assert_eq!(kept(), keys.list());
        assert_eq!(keys.list().len(), 1);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left over");

        fs::write(folder.join(FILE), "[{").unwrap();
        assert!(ApiKeys::open(&folder).is_err());
    }
}
