//! Cursors: where a page ended, for the request of the next one.
//!
//! A hash binds a cursor to its list (tenant, collection) and its order. That catches mistakes: the cursor of another list
//! is rejected and not misread. The hash is not a security measure, and need not be one: the partition that is read depends
//! on the caller's tenant, whatever the cursor contains.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::keys::MAX_SORT_KEY_BYTES;
use crate::domain::page::Order;

const TAG_BYTES: usize = 9;

/// Returns the cursor of the page after the item with this sort key.
pub(super) fn encode(partition: &str, order: Order, last: &str) -> String {
    let mut bytes = tag(partition, order, last).to_vec();
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the sort key in a cursor, or `None` if the cursor does not belong to this list in this order. A cursor without a
/// possible sort key is invalid even if its hash matches.
pub(super) fn decode(partition: &str, order: Order, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (found, last) = bytes.split_at_checked(TAG_BYTES)?;
    let last = std::str::from_utf8(last).ok().filter(|last| (1..=MAX_SORT_KEY_BYTES).contains(&last.len()))?;
    (found == tag(partition, order, last)).then(|| last.to_owned())
}

fn tag(partition: &str, order: Order, last: &str) -> [u8; TAG_BYTES] {
    let mut hash = Sha256::new();
    for part in [partition, order.as_ref(), last] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&hash.finalize()[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_order() -> impl Strategy<Value = Order> {
        prop_oneof![Just(Order::Asc), Just(Order::Desc)]
    }

    proptest! {
        #[test]
        fn a_cursor_is_decoded_as_it_was_encoded(partition in ".{1,40}", order in any_order(), last in "[A-Za-z0-9._~-]{1,128}") {
            let cursor = encode(&partition, order, &last);
            prop_assert!(cursor.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
            prop_assert_eq!(decode(&partition, order, &cursor), Some(last));
        }

        #[test]
        fn a_cursor_has_a_sort_key_that_dynamodb_accepts(bytes in prop_oneof![0..2_usize, 1020..1030_usize]) {
            let decoded = decode("T#x#R#notes", Order::Asc, &encode("T#x#R#notes", Order::Asc, &"x".repeat(bytes)));
            prop_assert_eq!(decoded.is_some(), (1..=1024).contains(&bytes));
        }

        #[test]
        fn a_cursor_belongs_to_one_list_and_order(
            // There are only few values, so that two cursors often share a part.
            ours in ("[ab]{1,2}", any_order()),
            theirs in ("[ab]{1,2}", any_order()),
            last in "[a-z]{1,8}",
        ) {
            let cursor = encode(&ours.0, ours.1, &last);
            prop_assert_eq!(decode(&theirs.0, theirs.1, &cursor).is_some(), ours == theirs);
        }

        #[test]
        fn any_other_text_is_not_a_cursor(text in ".{0,60}") {
            prop_assert_eq!(decode("T#x#R#notes", Order::Asc, &text), None);
        }
    }
}
