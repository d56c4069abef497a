//! The scopes of the resource server, and those of each group of users.

/// The prefix of each scope in the user pool: the resource server's identifier and a slash.
pub const PREFIX: &str = "tenantry/";

/// The contract's scopes for tenants.
pub const TENANT: &[&str] = include!(concat!(env!("OUT_DIR"), "/tenant_scopes.rs"));

/// The contract's scopes for operators, which a tenant's token never has.
pub const OPERATOR: &[&str] = include!(concat!(env!("OUT_DIR"), "/operator_scopes.rs"));

/// The groups, from the fewest scopes to the most.
pub const GROUPS: [&str; 3] = ["viewer", "member", "admin"];

/// The scopes of a user in these groups.
#[must_use]
pub fn of_groups(groups: &[String]) -> Vec<&'static str> {
    TENANT.iter().copied().filter(|scope| is_granted(scope, groups)).collect()
}

/// Whether a user in these groups has a scope. A viewer can read, a member can also write, and an admin has all scopes. The
/// rule depends on a scope's name, so a new scope needs no entry for the groups.
fn is_granted(scope: &str, groups: &[String]) -> bool {
    let has = |name: &str| groups.iter().any(|group| group == name);
    let (viewer, member, admin) = (has("viewer"), has("member"), has("admin"));
    match scope.rsplit_once(':') {
        Some((_, "read")) => viewer || member || admin,
        Some((_, "write")) => member || admin,
        _ => admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPES: [&str; 4] = ["a:manage", "a:read", "a:write", "b:read"];

    fn of(groups: &[&str]) -> Vec<&'static str> {
        let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
        SCOPES.into_iter().filter(|scope| is_granted(scope, &groups)).collect()
    }

    #[test]
    fn each_group_has_the_scopes_of_the_one_before_and_more() {
        assert_eq!(of(&["viewer"]), ["a:read", "b:read"]);
        assert_eq!(of(&["member"]), ["a:read", "a:write", "b:read"]);
        assert_eq!(of(&["admin"]), SCOPES);
        assert_eq!(of(&["viewer", "admin"]), SCOPES);
        assert_eq!(of_groups(&["admin".to_owned()]), TENANT);
    }

    #[test]
    fn other_groups_have_no_scopes() {
        assert!(of(&[]).is_empty());
        assert!(of(&["Admin", "admins", "operator", "tenants:admin", "eu-central-1_Abc_Google"]).is_empty());
    }
}
