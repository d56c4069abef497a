//! The registry of API keys and of their membership in usage plans.
//!
//! The gateway meters requests by it, and `management` changes it as AWS's own API does, so a change applies from the next
//! request on. All usage plans are for the only stage, and an API key can be in only one plan of a stage, so an API key has
//! one plan or none.
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
use crate::template::STACK;

const FILE: &str = "api-keys.json";

/// The length of an API key's value, in letters and digits.
const VALUE_LENGTH: RangeInclusive<usize> = 20..=128;

/// The length of AWS's own identifiers, in characters.
const ID_LENGTH: usize = 10;

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The id by which management calls name it.
    pub id: String,
    /// The value by which an authorizer names it.
    pub value: String,
    /// A name for people. Several API keys may have the same name.
    pub name: Option<String>,
    /// A description for people.
    pub description: Option<String>,
    /// The customer id of AWS Marketplace, which has no meaning here.
    pub customer_id: Option<String>,
    /// Whether requests with it are accepted.
    pub enabled: bool,
    /// The name of the usage plan in which it is.
    pub plan: Option<String>,
    /// The tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The time of its creation, in seconds since 1970.
    pub created: i64,
    /// The time of its last change, in seconds since 1970.
    pub updated: i64,
}

/// The properties of a new API key.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// [`ApiKey::value`], which is generated if there is none.
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

/// A change of an API key, which leaves what is `None` as it is.
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

/// The reason why an API key cannot be created or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The value has the wrong form.
    #[error("API Key value should be 20 to 128 letters and digits")]
    Value,
    /// Another API key has the same value.
    #[error("API Key already exists")]
    Exists,
    /// There is no API key with this id.
    #[error("Invalid API Key identifier specified")]
    Unknown,
    /// The API key is in this usage plan or in another.
    #[error("API Key is in a usage plan of this API stage already")]
    HasPlan,
    /// The API key is not in this usage plan.
    #[error("Invalid Usage Plan Key identifier specified")]
    NotInPlan,
}

/// The registry of API keys. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    registry: Arc<Mutex<Registry>>,
    /// The file in which they are stored.
    file: Option<Arc<PathBuf>>,
}

#[derive(Debug, Default)]
struct Registry {
    keys: BTreeMap<String, ApiKey>,
    /// The ids by value, which never changes.
    ids: HashMap<String, String>,
}

impl ApiKeys {
    /// Returns the path of the file with the API keys of a data folder.
    #[must_use]
    pub(crate) fn file(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Reads the API keys of a data folder, in which later changes are stored.
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

    /// Enables the API key with this value and puts it into a usage plan instead of the one that it was in. Creates it if
    /// there is none.
    pub fn put(&self, value: &str, plan: &str) {
        self.change(|registry| {
            let mut key = match registry.of_value(value) {
                Some(key) => key.clone(),
                None => NewKey::of_stack(value).into(),
            };
            (key.plan, key.enabled) = (Some(plan.to_owned()), true);
            registry.insert(key);
        });
    }

    /// Creates a lost API key again, with the id that it had.
    pub(crate) fn restore(&self, id: &str, value: &str, plan: Option<&str>, enabled: bool) {
        let new = NewKey { enabled, ..NewKey::of_stack(value) };
        let key = ApiKey { id: id.to_owned(), plan: plan.map(str::to_owned), ..new.into() };
        self.change(|registry| registry.insert(key));
    }

    /// Enables or disables the API key with this value, if there is one.
    pub fn set_enabled(&self, value: &str, enabled: bool) {
        self.change(|registry| {
            if let Some(key) = registry.ids.get(value).and_then(|id| registry.keys.get_mut(id)) {
                key.enabled = enabled;
            }
        });
    }

    /// Removes the API key with this value, if there is one.
    pub fn remove(&self, value: &str) {
        self.change(|registry| {
            if let Some(id) = registry.ids.remove(value) {
                registry.keys.remove(&id);
            }
        });
    }

    /// Returns the API key with this value.
    #[must_use]
    pub fn find(&self, value: &str) -> Option<ApiKey> {
        self.lock().of_value(value).cloned()
    }

    /// Returns the API key with this id.
    pub fn get(&self, id: &str) -> Result<ApiKey, KeyError> {
        self.lock().keys.get(id).cloned().ok_or(KeyError::Unknown)
    }

    /// Returns all API keys, sorted by id.
    #[must_use]
    pub fn list(&self) -> Vec<ApiKey> {
        self.lock().keys.values().cloned().collect()
    }

    /// Creates an API key, which is in no usage plan.
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

    /// Changes an API key.
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

    /// Deletes an API key, also from its usage plan.
    pub fn delete(&self, id: &str) -> Result<(), KeyError> {
        self.change(|registry| {
            let key = registry.keys.remove(id).ok_or(KeyError::Unknown)?;
            registry.ids.remove(&key.value);
            Ok(())
        })
    }

    /// Puts an API key that is in no usage plan into the one with this name.
    pub fn join(&self, id: &str, plan: &str) -> Result<ApiKey, KeyError> {
        self.edit(id, |key| {
            if key.plan.is_some() {
                return Err(KeyError::HasPlan);
            }
            key.plan = Some(plan.to_owned());
            Ok(())
        })
    }

    /// Removes an API key from the usage plan with this name.
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

    /// Changes the registry and writes its file under the same lock, so that the file is never older than a response.
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

impl NewKey {
    /// Returns an API key with the tag that the function **tenants** gives to the stack's own, without which its role allows no
    /// change of it.
    #[must_use]
    pub fn of_stack(value: &str) -> Self {
        let tags = BTreeMap::from([("tenantry".to_owned(), STACK.to_owned())]);
        Self { value: Some(value.to_owned()), tags, ..Self::default() }
    }
}

impl From<NewKey> for ApiKey {
    fn from(new: NewKey) -> Self {
        let NewKey { value, name, description, customer_id, enabled, tags } = new;
        let id = Ulid::generate().to_string().to_lowercase();
        let now = now();
        Self {
            // The last characters are random, the first are the time.
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
        let generated = keys.create(NewKey::default()).unwrap();
        assert!(VALUE_LENGTH.contains(&generated.value.len()) && !generated.enabled);
        assert_eq!(generated.id.len(), ID_LENGTH);
        assert_eq!(keys.list().len(), 3);
    }

    #[test]
    fn an_api_key_has_one_plan_at_a_time() {
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
    fn a_change_leaves_other_properties_as_they_are() {
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
    fn a_deleted_api_key_is_gone_and_its_value_can_be_used_again() {
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
    fn a_folder_stores_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("data");
        let keys = ApiKeys::open(&folder).unwrap();
        let stored = || ApiKeys::open(&folder).unwrap().list();
        let tags = BTreeMap::from([("tenant".to_owned(), VALUE.to_owned())]);
        let id = keys.create(NewKey { tags, ..new(VALUE) }).unwrap().id;
        keys.put("other", "pro");
        assert_eq!(stored(), keys.list());
        keys.join(&id, "free").unwrap();
        assert_eq!(stored(), keys.list());
        keys.set_enabled(VALUE, false);
        assert_eq!(stored(), keys.list());
        keys.remove("other");
        assert_eq!(stored(), keys.list());
        assert_eq!(keys.list().len(), 1);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left over");

        fs::write(folder.join(FILE), "[{").unwrap();
        assert!(ApiKeys::open(&folder).is_err());
    }
}
