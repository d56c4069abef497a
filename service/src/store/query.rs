//! Pages of a partition.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::{Condition, names};
use super::item::Item;
use super::keys::{Key, SK};
use super::{Fault, ListError, Store, cursor};
use crate::page::{Order, Page, PageRequest};

/// Reads one page with one request, in the order of the sort keys.
///
/// One item more than the page holds is read, to know whether there is another page.
pub(super) async fn query<T>(
    store: &Store,
    partition: &str,
    page: &PageRequest,
    filter: Option<Condition>,
    from_item: impl Fn(Item) -> Result<T, Fault>,
) -> Result<Page<T>, ListError> {
    let start = match &page.cursor {
        None => None,
        Some(text) => {
            let sk = cursor::decode(partition, page.order, text).ok_or(ListError::InvalidCursor)?;
            Some(Key { pk: partition.to_owned(), sk }.into_map())
        }
    };
    let limit = page.limit.get();
    let keys = "#pk = :pk";
    let filter = filter.unwrap_or_default().value(":pk", AttributeValue::S(partition.to_owned()));
    let text = filter.text();
    let answer = store
        .client
        .query()
        .table_name(&store.table)
        .set_expression_attribute_names(Some(names(&[keys, &text])))
        .set_expression_attribute_values(Some(filter.into_values()))
        .key_condition_expression(keys)
        .set_filter_expression((!text.is_empty()).then_some(text))
        .set_exclusive_start_key(start)
        .scan_index_forward(page.order == Order::Asc)
        .consistent_read(page.consistent)
        .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX))
        .send()
        .await
        .map_err(Fault::from)?;

    let mut items = answer.items.unwrap_or_default();
    let last = if items.len() > limit {
        items.truncate(limit);
        items.last()
    } else {
        answer.last_evaluated_key.as_ref()
    };
    let next = last.map(|last| sort_key(last).map(|sk| cursor::encode(partition, page.order, sk))).transpose()?;
    let items = items.into_iter().map(from_item).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

fn sort_key(item: &Item) -> Result<&str, Fault> {
    item.get(SK).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| Fault::corrupt(SK))
}
