//! The scopes of the resource server, and those of each group of users.

/// The prefix of each scope in the user pool: the resource server's identifier and a slash.
pub const PREFIX: &str = "tenantry/";

/// The scopes for tenants.
pub const TENANT: [&str; 4] = ["records:read", "records:write", "tokens:manage", "usage:read"];

/// The operator's scope, which a tenant's token never has.
pub const OPERATOR: &str = "tenants:admin";

/// The groups, from the fewest scopes to the most.
pub const GROUPS: [&str; 3] = ["viewer", "member", "admin"];

/// The scopes of a user in these groups. A viewer can read, a member can also write, and an admin has all scopes. The
/// rule depends on a scope's name, so a new scope needs no entry for the groups.
#[must_use]
pub fn of_groups(groups: &[String]) -> Vec<&'static str> {
    let has = |name: &str| groups.iter().any(|group| group == name);
    let (viewer, member, admin) = (has("viewer"), has("member"), has("admin"));
    let granted = |scope: &str| match scope.rsplit_once(':') {
        Some((_, "read")) => viewer || member || admin,
        Some((_, "write")) => member || admin,
        _ => admin,
    };
    TENANT.into_iter().filter(|scope| granted(scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(groups: &[&str]) -> Vec<&'static str> {
        of_groups(&groups.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn each_group_has_the_scopes_of_the_one_before_and_more() {
        assert_eq!(of(&["viewer"]), ["records:read", "usage:read"]);
        assert_eq!(of(&["member"]), ["records:read", "records:write", "usage:read"]);
        assert_eq!(of(&["admin"]), TENANT);
        assert_eq!(of(&["viewer", "admin"]), TENANT);
    }

    #[test]
    fn other_groups_have_no_scopes() {
        assert!(of(&[]).is_empty());
        assert!(of(&["Admin", "admins", "operator", "tenants:admin", "eu-central-1_Abc_Google"]).is_empty());
    }
}
