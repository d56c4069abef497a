//! The updates of usage rows, as expressions of DynamoDB. The protocol is described in
//! [`domain::quota`](crate::domain::quota).

use aws_sdk_dynamodb::types::AttributeValue;

use super::terms::{PLAN, QUOTA, expiry};
use crate::domain::caller::{Access, Payer, UsageRead};
use crate::domain::month::Month;
use crate::domain::quota::{Environment, Lease, Row, Terms, UpdateOutcome, UsageUpdate};
use crate::domain::units::Units;
use crate::domain::usage::Usage;
use crate::store::expression::Condition;
use crate::store::item::{Item, number, optional_number};
use crate::store::table::{Consistency, Doubt, Failure, ItemWrite, Outcome, Verdict};
use crate::store::{Fault, Store, keys};

/// The attribute that is set once the tenant is being offboarded.
pub(super) const CLOSED: &str = "closed";
const LEASED: &str = "leased";
const REQUESTS: &str = "requests";
const ERRORS: &str = "errors";
const BYTES_IN: &str = "bytesIn";
const BYTES_OUT: &str = "bytesOut";
const READ_UNITS: &str = "readUnits";
const WRITE_UNITS: &str = "writeUnits";
const MEMORY_MS: &str = "memoryMs";
const UPDATES: &str = "updates";
/// The prefix of an execution environment's mark. The rest of the attribute's name is the id of the execution environment.
const MARK: &str = "e#";

/// The update expression of every usage update: its mark, its expiry, and the figures.
const UPDATE: &str = "SET #mark = :mark, #expiresAt = :expiresAt \
    ADD #leased :leased, #requests :requests, #errors :errors, #bytesIn :bytesIn, #bytesOut :bytesOut, \
    #readUnits :readUnits, #writeUnits :writeUnits, #memoryMs :memoryMs, #updates :one";

impl Store {
    /// Updates the usage row of a tenant's month. After a fault it is unknown whether the update was applied.
    pub async fn usage_update(
        &self,
        payer: &Payer,
        month: Month,
        environment: &Environment,
        update: &UsageUpdate,
    ) -> Result<UpdateOutcome, Fault> {
        // An update is applied at most once, however often it is sent, because it replaces the mark that it comes after.
        let change = item_write(payer, month, environment, update).repeatable().returning_new();
        match self.table.write(change).await {
            Ok(item) => Ok(UpdateOutcome::Applied(row(&item.unwrap_or_default())?)),
            Err(Failure::Condition(item)) => rejected(item, true),
            Err(Failure::Doubt(Doubt { rejected: true, item, .. })) => rejected(item, false),
            Err(failure) => Err(failure.into_fault()),
        }
    }

    /// Updates up to 100 usage rows in one transaction, which applies all updates or none. The updates must not take units.
    ///
    /// The outcomes are in the order of the updates. An outcome is `None` where an update was not applied only because of
    /// another one. After a fault it is unknown whether they were applied; they may be retried, also one by one.
    pub async fn usage_update_all(
        &self,
        environment: &Environment,
        updates: impl Iterator<Item = (&Payer, Month, &UsageUpdate)>,
    ) -> Result<Vec<Option<UpdateOutcome>>, Fault> {
        let writes: Vec<_> =
            updates.map(|(payer, month, update)| item_write(payer, month, environment, update)).collect();
        let count = writes.len();
        match self.table.transact(writes).await? {
            Outcome::Written => Ok(vec![Some(UpdateOutcome::AppliedUnseen); count]),
            Outcome::Rejected { verdicts, doubt } => {
                let outcome = |verdict| match verdict {
                    Verdict::Held => Ok(None),
                    Verdict::Failed(item) => rejected(item, doubt.is_none()).map(Some),
                };
                verdicts.into_iter().map(outcome).collect()
            }
            Outcome::Conflict => Err(Fault::Unavailable("other requests are writing some of the rows".to_owned())),
        }
    }

    /// Reads the usage row of a tenant's month, eventually consistent. A month without a row is the default, without usage.
    pub async fn usage_get(&self, access: &Access<UsageRead>, month: Month) -> Result<Row, Fault> {
        let item = self.table.get(keys::usage(access.tenant(), month), Consistency::Eventual).await?;
        row(&item.unwrap_or_default())
    }
}

/// Returns the write that makes an update.
fn item_write(payer: &Payer, month: Month, environment: &Environment, update: &UsageUpdate) -> ItemWrite {
    let condition = figures(month, update)
        .into_iter()
        .fold(condition(update), |condition, (name, value)| condition.value(&name, value));
    let change = ItemWrite::update(keys::usage(payer.tenant(), month), update_expression(update), condition)
        .name("#mark".to_owned(), format!("{MARK}{environment}"));
    forgotten(update)
        .iter()
        .enumerate()
        .fold(change, |change, (index, silent)| change.name(format!("#silent{index}"), format!("{MARK}{silent}")))
}

/// Returns the outcome of an update whose condition does not hold on this item.
fn rejected(item: Option<Item>, certain: bool) -> Result<UpdateOutcome, Fault> {
    Ok(UpdateOutcome::Rejected { row: row(&item.unwrap_or_default())?, certain })
}

fn forgotten(update: &UsageUpdate) -> &[Environment] {
    update.lease.as_ref().map_or(&[], |lease| &lease.forget)
}

fn update_expression(update: &UsageUpdate) -> String {
    let forgotten = 0..forgotten(update).len();
    let removed: Vec<String> = forgotten.map(|index| format!("#silent{index}")).collect();
    if removed.is_empty() { UPDATE.to_owned() } else { format!("{UPDATE} REMOVE {}", removed.join(", ")) }
}

fn condition(update: &UsageUpdate) -> Condition {
    let condition = match update.after {
        Some(after) => Condition::default().and("#mark = :after").value(":after", number(after)),
        None => Condition::default().and("attribute_not_exists(#mark)"),
    };
    let (Some(lease), Some(ceiling)) = (&update.lease, update.ceiling()) else { return condition };
    let Lease { terms, forget, silent_before, take: _, limit: _ } = lease;
    let Terms { plan, quota } = terms;
    // A row without `leased` has no units handed out, which is below any ceiling that is not negative.
    let room =
        if ceiling < 0 { "#leased <= :ceiling" } else { "(attribute_not_exists(#leased) OR #leased <= :ceiling)" };
    let mut condition = condition.and(room).value(":ceiling", number(ceiling));
    let plan = plan.clone().map(AttributeValue::S);
    for (name, value) in [(PLAN, plan), (QUOTA, quota.map(number))] {
        condition = match value {
            Some(value) => condition.and(&format!("#{name} = :{name}")).value(&format!(":{name}"), value),
            None => condition.and(&format!("attribute_not_exists(#{name})")),
        };
    }
    for index in 0..forget.len() {
        let silent = format!("(attribute_not_exists(#silent{index}) OR #silent{index} < :silentBefore)");
        condition = condition.and(&silent).value(":silentBefore", number(silent_before));
    }
    condition
}

fn figures(month: Month, update: &UsageUpdate) -> Item {
    let Usage { requests, errors, bytes_in, bytes_out, units, memory_ms } = update.usage;
    let values = [
        (":mark", number(update.sequence)),
        (":expiresAt", number(expiry(month))),
        (":leased", number(update.change())),
        (":requests", number(requests)),
        (":errors", number(errors)),
        (":bytesIn", number(bytes_in)),
        (":bytesOut", number(bytes_out)),
        (":readUnits", number(units.read)),
        (":writeUnits", number(units.write)),
        (":memoryMs", number(memory_ms)),
        (":one", number(1)),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Reads a row. The empty item stands for a row that does not exist.
pub(super) fn row(item: &Item) -> Result<Row, Fault> {
    let count = |name| Ok::<u64, Fault>(optional_number(item, name)?.unwrap_or_default());
    let units = |name| Ok::<f64, Fault>(optional_number(item, name)?.unwrap_or_default());
    let plan = match item.get(PLAN) {
        None => None,
        Some(AttributeValue::S(plan)) => Some(plan.clone()),
        Some(_) => return Err(Fault::corrupt(PLAN)),
    };
    let marks = item.keys().filter_map(|name| Some((name, name.strip_prefix(MARK)?)));
    let marks = marks.map(|(name, id)| Ok((Environment::stored(id), optional_number(item, name)?.unwrap_or_default())));
    Ok(Row {
        leased: count(LEASED)?,
        terms: Terms { plan, quota: optional_number(item, QUOTA)? },
        closed: item.contains_key(CLOSED),
        usage: Usage {
            requests: count(REQUESTS)?,
            errors: count(ERRORS)?,
            bytes_in: count(BYTES_IN)?,
            bytes_out: count(BYTES_OUT)?,
            units: Units { read: units(READ_UNITS)?, write: units(WRITE_UNITS)? },
            memory_ms: count(MEMORY_MS)?,
        },
        updates: count(UPDATES)?,
        marks: marks.collect::<Result<_, Fault>>()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use serde_json::Value;

    use super::*;
    use crate::domain::caller::Caller;
    use crate::domain::quota::model;
    use crate::runtime::aws;
    use crate::runtime::config::AwsConfig;
    use crate::store::keys::{PK, SK};

    const MONTH: &str = "2031-02";

    /// A store on an embedded engine.
    async fn store() -> Store {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let engine = dynoxide::Database::memory().unwrap();
        tokio::spawn(async move { dynoxide::server::serve_on(listener, engine).await });
        let client = aws::dynamodb(&AwsConfig::local(endpoint), aws::connector());
        let mut table = client.create_table().table_name("Table").billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in [(PK, KeyType::Hash), (SK, KeyType::Range)] {
            let string = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            table = table.attribute_definitions(string.build().unwrap()).key_schema(key.build().unwrap());
        }
        table.send().await.unwrap();
        Store::new(client, "Table")
    }

    fn environment() -> impl Strategy<Value = Environment> {
        (0..3).prop_map(|id| Environment::stored(&format!("env{id}")))
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let plan = prop_oneof![Just(None), Just(Some("a".to_owned())), Just(Some("b".to_owned()))];
        (plan, prop::option::of(0_u64..3)).prop_map(|(plan, quota)| Terms { plan, quota })
    }

    fn usage() -> impl Strategy<Value = Usage> {
        (0_u64..3, 0_u64..100, 0_u32..5).prop_map(|(requests, bytes, half_units)| Usage {
            requests,
            errors: requests / 2,
            bytes_in: bytes,
            bytes_out: bytes * 2,
            units: Units { read: f64::from(half_units) / 2.0, write: f64::from(half_units) },
            memory_ms: requests * 256,
        })
    }

    fn row_and_update() -> impl Strategy<Value = (Option<Row>, Environment, UsageUpdate)> {
        let marks = prop::collection::btree_map(environment(), 1_i64..6, 0..3);
        let row = (0_u64..30, terms(), prop::bool::weighted(0.2), usage(), 0_u64..9, marks).prop_map(
            |(leased, terms, closed, usage, updates, marks)| Row { leased, terms, closed, usage, updates, marks },
        );
        let forget = prop::collection::vec(environment(), 0..3);
        let lease = (1_u64..20, 0_u64..40, terms(), forget, 1_i64..6).prop_map(
            |(take, limit, terms, forget, silent_before)| Lease { take, limit, terms, forget, silent_before },
        );
        let update = (6_i64..9, prop::option::of(1_i64..6), 0_u64..9, 0_u64..3, usage(), prop::option::of(lease));
        let update = update.prop_map(|(sequence, after, give, owed, usage, lease)| UsageUpdate {
            sequence,
            after,
            give,
            owed,
            usage,
            lease,
        });
        // Often adapt the update to the row, so that it is often applied.
        (prop::option::weighted(0.8, row), environment(), update, any::<[bool; 2]>()).prop_map(
            |(row, environment, mut update, [in_turn, on_terms])| {
                let seen = row.clone().unwrap_or_default();
                if in_turn {
                    update.after = seen.marks.get(&environment).copied();
                }
                update.give = update.give.min(seen.leased);
                if let Some(lease) = &mut update.lease {
                    lease.forget.retain(|id| *id != environment);
                    lease.forget.dedup();
                    if on_terms {
                        lease.terms = seen.terms;
                    }
                }
                (row, environment, update)
            },
        )
    }

    fn item(row: &Row) -> Item {
        let Row { leased, terms, closed, usage, updates, marks } = row;
        let Usage { requests, errors, bytes_in, bytes_out, units, memory_ms } = usage;
        let mut item: Item = marks.iter().map(|(id, mark)| (format!("{MARK}{id}"), number(mark))).collect();
        let counts = [
            (LEASED, leased),
            (REQUESTS, requests),
            (ERRORS, errors),
            (BYTES_IN, bytes_in),
            (BYTES_OUT, bytes_out),
            (MEMORY_MS, memory_ms),
            (UPDATES, updates),
        ];
        item.extend(counts.map(|(name, count)| (name.to_owned(), number(count))));
        item.extend([(READ_UNITS.to_owned(), number(units.read)), (WRITE_UNITS.to_owned(), number(units.write))]);
        item.extend(terms.plan.clone().map(|plan| (PLAN.to_owned(), AttributeValue::S(plan))));
        item.extend(closed.then(|| (CLOSED.to_owned(), AttributeValue::Bool(true))));
        item.extend(terms.quota.map(|quota| (QUOTA.to_owned(), number(quota))));
        item
    }

    /// The histories of the model rely on this: the expression does to an item what the model does to a row.
    #[test]
    fn the_expression_agrees_with_the_model() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(store());
        let fields = HashMap::from([("tenant".to_owned(), Value::from("01K0ACME000000000000000000"))]);
        let payer = Caller::from_context(&fields).unwrap().payer();
        let month = Month::parse(MONTH).unwrap();
        let applied = std::cell::Cell::new(0);
        let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&row_and_update(), |(before, environment, update)| {
            let key = keys::usage(payer.tenant(), month);
            let outcome = runtime.block_on(async {
                if let Some(row) = &before {
                    let item = key.into_map().into_iter().chain(item(row)).collect();
                    store.table.write(ItemWrite::put(item, Condition::default())).await.unwrap();
                } else {
                    store.table.write(ItemWrite::delete(key, Condition::default())).await.unwrap();
                }
                store.usage_update(&payer, month, &environment, &update).await.unwrap()
            });
            let mut row = before.unwrap_or_default();
            let expected = if model::apply(&mut row, &environment, &update, None) {
                applied.set(applied.get() + 1);
                UpdateOutcome::Applied(row)
            } else {
                UpdateOutcome::Rejected { row, certain: true }
            };
            prop_assert_eq!(outcome, expected);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
        assert!((50..450).contains(&applied.get()), "{} of 500 were applied", applied.get());
    }

    #[test]
    fn an_update_as_an_expression() {
        let report = UsageUpdate { sequence: 8, after: None, give: 3, owed: 1, usage: Usage::default(), lease: None };
        assert_eq!(condition(&report).text(), "attribute_not_exists(#mark)");
        assert_eq!(update_expression(&report), UPDATE);
        assert_eq!(figures(Month::parse("2026-11").unwrap(), &report)[":leased"], number(-2));

        let forget = vec![Environment::stored("a"), Environment::stored("b")];
        let terms = Terms { plan: Some("pro".to_owned()), quota: None };
        let lease = Lease { take: 10, limit: 100, terms, forget, silent_before: 5 };
        let update = UsageUpdate { after: Some(7), lease: Some(lease.clone()), ..report };
        let text = condition(&update).text();
        assert_eq!(
            text,
            "#mark = :after AND (attribute_not_exists(#leased) OR #leased <= :ceiling) AND #plan = :plan \
             AND attribute_not_exists(#quota) AND (attribute_not_exists(#silent0) OR #silent0 < :silentBefore) \
             AND (attribute_not_exists(#silent1) OR #silent1 < :silentBefore)"
        );
        assert_eq!(condition(&update).into_values()[":ceiling"], number(92));
        assert!(update_expression(&update).ends_with(" #updates :one REMOVE #silent0, #silent1"));

        // Nothing is below a negative ceiling, not even a row without the attribute.
        let update = UsageUpdate { lease: Some(Lease { limit: 7, ..lease }), ..update };
        assert!(condition(&update).text().starts_with("#mark = :after AND #leased <= :ceiling AND "));
    }

    #[test]
    fn a_corrupt_row_is_a_fault() {
        assert_eq!(row(&Item::new()).unwrap(), Row::default());
        for name in [LEASED, REQUESTS, READ_UNITS, UPDATES, PLAN, QUOTA, "e#1"] {
            let item = Item::from([(name.to_owned(), AttributeValue::Bool(true))]);
            assert!(matches!(row(&item), Err(Fault::Corrupt(_))), "{name}");
        }
    }
}
