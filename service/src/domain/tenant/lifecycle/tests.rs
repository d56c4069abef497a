//! Tests of the rules for a tenant's states and changes.

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + seconds * 1000)
}

fn onboarding() -> ManagedTenant {
    let tenant = Tenant {
        id: TenantId::generate(),
        name: "Acme".into(),
        plan: "free".into(),
        status: Status::Active,
        issuers: vec![],
        api_key: "x".into(),
        quota: None,
    };
    ManagedTenant::new(tenant, KeyKind::Own, BTreeMap::new(), NOW)
}

fn active() -> ManagedTenant {
    let mut managed = onboarding();
    managed.settle(NOW);
    managed
}

#[test]
fn a_tenant_is_active_when_its_onboarding_is_done() {
    let mut managed = onboarding();
    assert_eq!(managed.tenant.status, Status::Onboarding);
    assert!(managed.wants_enabled_key());
    managed.settle(NOW);
    assert_eq!((managed.tenant.status, managed.change), (Status::Active, None));
}

#[test]
fn a_leased_change_excludes_others() {
    let mut managed = active();
    managed.suspend("unpaid", NOW).unwrap();
    assert_eq!(managed.tenant.status, Status::Suspended, "at once");
    assert!(!managed.wants_enabled_key());
    for result in [managed.clone().resume("paid", NOW), managed.clone().move_to("pro", NOW)] {
        assert_eq!(result, Err(ChangeError::Busy));
    }
    assert_eq!(managed.clone().offboard(NOW), Err(ChangeError::Busy));
    managed.settle(NOW);
    managed.resume("paid", NOW).unwrap();
    assert_eq!(managed.tenant.status, Status::Suspended, "until the key is enabled");
    assert!(managed.wants_enabled_key());
    managed.settle(NOW);
    assert_eq!(managed.tenant.status, Status::Active);
}

#[test]
fn an_abandoned_change_is_taken_over_when_its_lease_has_expired() {
    let mut managed = onboarding();
    assert!(!managed.take_over(later(44)));
    assert!(managed.take_over(later(45)));
    assert!(!managed.take_over(later(46)), "it is leased again");
    managed.give_back(later(50));
    assert!(managed.take_over(later(50)));
}

#[test]
fn a_change_that_fails_is_retried_after_growing_pauses() {
    let mut managed = onboarding();
    let mut now = 0;
    for (attempts, pause) in (1..).zip([0, 60, 120, 240, 480, 960, 1920, 3600, 3600]) {
        managed.fail(FailureCode::ApiKeyLimitReached, later(now));
        let failure = managed.change.unwrap().failure.unwrap();
        assert_eq!((failure.attempts, failure.retry_at()), (attempts, later(now + pause)));
        assert!(pause == 0 || !managed.clone().take_over(later(now + pause - 1)));
        now += pause;
        assert!(managed.take_over(later(now)), "after {attempts}");
        assert_eq!(managed.change.unwrap().failure, Some(failure), "the failure remains during the next attempt");
        assert!(!managed.take_over(later(now)));
    }
    managed.give_back(later(now));
    assert_eq!(managed.change.unwrap().failure, None, "the attempt made progress");
    let endless = Failure { code: FailureCode::Unavailable, attempts: u32::MAX, failed_at: NOW };
    assert_eq!(endless.retry_at(), later(3600));
}

/// A change that an operator can request.
type Request = fn(&mut ManagedTenant, Timestamp) -> Result<(), ChangeError>;

const MOVE: Request = |managed, now| managed.move_to("pro", now);
const SUSPEND: Request = |managed, now| managed.suspend("unpaid", now);
const RESUME: Request = |managed, now| managed.resume("paid", now);

/// Returns a tenant whose change has begun.
fn begun(mut managed: ManagedTenant, change: Request) -> ManagedTenant {
    change(&mut managed, NOW).unwrap();
    managed
}

fn suspended() -> ManagedTenant {
    let mut managed = begun(active(), SUSPEND);
    managed.settle(NOW);
    managed
}

#[test]
fn any_change_replaces_one_that_failed_or_was_abandoned() {
    use Status::{Active, Onboarding, Suspended};
    // Each row has a tenant with a change that is not done, and the next change. Then come the status and whether the API
    // key should be enabled after its start, and the status when it is done.
    for (pending, next, status, enabled, end) in [
        (onboarding(), MOVE, Onboarding, true, Active),
        (onboarding(), SUSPEND, Suspended, false, Suspended),
        (onboarding(), RESUME, Onboarding, true, Active),
        (begun(active(), MOVE), MOVE, Active, true, Active),
        (begun(active(), MOVE), SUSPEND, Suspended, false, Suspended),
        (begun(active(), MOVE), RESUME, Active, true, Active),
        (begun(active(), SUSPEND), MOVE, Suspended, false, Suspended),
        (begun(active(), SUSPEND), SUSPEND, Suspended, false, Suspended),
        (begun(active(), SUSPEND), RESUME, Suspended, true, Active),
        (begun(suspended(), RESUME), MOVE, Suspended, true, Active),
        (begun(suspended(), RESUME), SUSPEND, Suspended, false, Suspended),
        (begun(suspended(), RESUME), RESUME, Suspended, true, Active),
        (begun(suspended(), MOVE), RESUME, Suspended, true, Active),
        (begun(suspended(), MOVE), MOVE, Suspended, false, Suspended),
    ] {
        assert_eq!(next(&mut pending.clone(), later(44)), Err(ChangeError::Busy), "{pending:?}");
        assert_eq!(pending.clone().offboard(later(44)), Err(ChangeError::Busy), "{pending:?}");
        let mut failed = pending.clone();
        failed.fail(FailureCode::AccessDenied, later(1));
        for (mut managed, now) in [(failed, later(1)), (pending.clone(), later(45))] {
            assert_eq!(managed.clone().offboard(now), Ok(()), "{pending:?}");
            next(&mut managed, now).unwrap();
            assert_eq!((managed.tenant.status, managed.wants_enabled_key()), (status, enabled), "{pending:?}");
            assert_eq!(managed.change.unwrap().failure, None, "it is another attempt");
            assert!(managed.is_leased(now));
            managed.settle(now);
            assert_eq!((managed.tenant.status, managed.change), (end, None), "{pending:?}");
            assert_eq!(managed.wants_enabled_key(), end == Active, "{pending:?}");
        }
    }
}

#[test]
fn an_offboarding_that_failed_can_be_retried_but_not_replaced() {
    let mut managed = active();
    managed.offboard(NOW).unwrap();
    let wrong_status = Err(ChangeError::WrongStatus(Status::Offboarding));
    assert_eq!(managed.clone().offboard(NOW), wrong_status, "it is leased");
    managed.fail(FailureCode::AccessDenied, later(1));
    for change in [MOVE, SUSPEND, RESUME] {
        assert_eq!(change(&mut managed, later(1)), wrong_status);
    }
    managed.offboard(later(1)).unwrap();
    assert!(managed.is_leased(later(1)));
}

#[test]
fn opaque_keys_can_be_rotated_while_a_change_is_not_leased() {
    let digest = || crate::domain::tenant_key::digest(&crate::domain::tenant_key::generate()).unwrap();
    let mut managed = begun(active(), SUSPEND);
    assert_eq!(managed.rotate_keys(digest(), Duration::ZERO, NOW), Err(ChangeError::Busy));
    managed.fail(FailureCode::Unavailable, NOW);
    let change = managed.change;
    managed.rotate_keys(digest(), Duration::ZERO, NOW).unwrap();
    assert_eq!(managed.change, change);
}

#[test]
fn a_code_is_parsed_as_it_is_written() {
    for code in FailureCode::ALL {
        assert_eq!(code.as_ref().parse(), Ok(*code));
        assert!(code.detail().ends_with('.'), "{code:?}");
    }
    assert!("tired".parse::<FailureCode>().is_err());
}

#[test]
fn an_offboarded_tenant_cannot_be_changed() {
    let mut managed = active();
    managed.offboard(NOW).unwrap();
    assert_eq!(managed.tenant.status, Status::Offboarding);
    assert_eq!(managed.clone().offboard(NOW), Err(ChangeError::WrongStatus(Status::Offboarding)));
    managed.settle(NOW);
    assert_eq!(managed.tenant.status, Status::Offboarded);
    let wrong_status = Err(ChangeError::WrongStatus(Status::Offboarded));
    assert_eq!(managed.clone().resume("", NOW), wrong_status);
    assert_eq!(managed.clone().suspend("", NOW), wrong_status);
    assert_eq!(managed.clone().move_to("pro", NOW), wrong_status);
    assert_eq!(managed.offboard(NOW), wrong_status);
}

#[test]
fn a_tenant_whose_onboarding_is_not_done_can_be_offboarded() {
    let mut managed = onboarding();
    assert_eq!(managed.offboard(later(1)), Err(ChangeError::Busy));
    assert_eq!(managed.offboard(later(60)), Ok(()));
    assert!(!managed.wants_enabled_key());
}

#[test]
fn opaque_keys_overlap_and_expire() {
    let digest = || crate::domain::tenant_key::digest(&crate::domain::tenant_key::generate()).unwrap();
    let ends = |managed: &ManagedTenant| -> Vec<Option<i64>> {
        let start = NOW.as_millis() / 1000;
        managed.tenant_keys.iter().map(|key| key.expires_at.map(|expiry| expiry.as_secs() - start)).collect()
    };
    let mut managed = active();
    managed.rotate_keys(digest(), Duration::from_secs(100), NOW).unwrap();
    assert_eq!(ends(&managed), [None]);
    managed.rotate_keys(digest(), Duration::from_secs(100), NOW).unwrap();
    managed.rotate_keys(digest(), Duration::from_secs(200), later(50)).unwrap();
    assert_eq!(ends(&managed), [Some(100), Some(250), None], "an expiry is never postponed");
    managed.rotate_keys(digest(), Duration::from_secs(1000), later(100)).unwrap();
    assert_eq!(ends(&managed), [Some(250), Some(1100), None]);
    managed.rotate_keys(digest(), Duration::ZERO, later(101)).unwrap();
    assert_eq!(ends(&managed), [None]);
    for _ in 1..MAX_TENANT_KEYS {
        managed.rotate_keys(digest(), Duration::from_secs(100), later(101)).unwrap();
    }
    let full = managed.clone().rotate_keys(digest(), Duration::from_secs(100), later(101));
    assert_eq!(full, Err(ChangeError::TooManyKeys));
    managed.rotate_keys(digest(), Duration::ZERO, later(101)).unwrap();
}
