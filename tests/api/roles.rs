//! Tests of the functions' roles: each allows the function's own actions, on its own items, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use local::template::yaml;
use serde_json::Value;

use crate::support::{read, sources, workspace};
use crate::workspaces;

const TEMPLATE: &str = "template.yaml";

/// The statements of every function's policies in the product's template, with the function's name.
fn statements() -> Vec<(String, Value)> {
    statements_of(TEMPLATE)
}

fn statements_of(template: &str) -> Vec<(String, Value)> {
    let template = yaml::parse(&read(template)).unwrap();
    let resources = template["Resources"].as_object().unwrap().clone();
    // This policy of Tenants is a resource of its own.
    let beside = &resources["PlaceKeysPolicy"]["Properties"];
    assert_eq!(beside["Roles"], serde_json::json!([{ "Ref": "TenantsFunctionRole" }]));
    let beside = list(&beside["PolicyDocument"]["Statement"]).into_iter().cloned().collect::<Vec<_>>();
    let beside = beside.into_iter().map(|statement| ("TenantsFunction".to_owned(), statement));
    let functions = resources.into_iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    let statements = functions.flat_map(|(name, function)| {
        let policies = function["Properties"]["Policies"].as_array().unwrap().clone();
        let statements = policies.into_iter().flat_map(|policy| policy["Statement"].as_array().unwrap().clone());
        statements.map(|statement| (name.clone(), statement)).collect::<Vec<_>>()
    });
    statements.chain(beside).collect()
}

/// The elements of a list, or a single value.
fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |values| values.iter().collect())
}

#[test]
fn actions_and_resources_are_named() {
    let statements = statements();
    assert!(statements.len() >= 8);
    for (function, statement) in statements {
        assert_eq!(statement["Effect"], "Allow", "{function}");
        assert!(statement["Sid"].is_string(), "{function}: {statement} has no Sid");
        for action in list(&statement["Action"]) {
            assert!(!action.as_str().unwrap().contains('*'), "{function} may {action}");
        }
        for resource in list(&statement["Resource"]) {
            assert_ne!(resource, "*", "{function}");
        }
    }
}

#[test]
fn items_are_restricted_by_their_partition_key() {
    for (function, statement) in statements() {
        let actions = list(&statement["Action"]);
        let of_table = actions.iter().any(|action| action.as_str().unwrap().starts_with("dynamodb:"));
        // An index contains only items with its attributes, and the table of roles shows who queries it.
        let of_index = statement["Resource"].to_string().contains("/index/");
        if of_table && !of_index {
            let keys = statement["Condition"].to_string();
            assert!(keys.contains("dynamodb:LeadingKeys"), "{function}: {statement}");
        }
    }
}

#[test]
fn only_this_stacks_api_keys_and_usage_plans_can_be_changed() {
    let mut found = 0;
    for (function, statement) in statements() {
        let actions = list(&statement["Action"]);
        if !actions.iter().any(|action| action.as_str().unwrap().starts_with("apigateway:")) {
            continue;
        }
        assert_eq!(function, "TenantsFunction");
        found += 1;
        let only_reads = actions.iter().all(|action| **action == "apigateway:GET");
        let tagged = statement["Condition"].to_string().contains("Tag/tenantry");
        let of_a_plan = list(&statement["Resource"]).iter().all(|resource| {
            let resource = resource["Fn::Sub"].as_str().unwrap();
            ["${FreePlan}", "${StandardPlan}", "${ProPlan}"].iter().any(|plan| resource.contains(plan))
        });
        assert!(only_reads || tagged || of_a_plan, "{statement}");
    }
    assert!(found >= 4);
}

/// The actions that a role allows, by function and by partition key or index.
type Grants = BTreeMap<(String, String), BTreeSet<String>>;

/// The table of roles in a comment of a template.
fn documented(template: &str) -> Grants {
    let template = read(template);
    let comment = template.lines().skip_while(|line| !line.contains("==== Roles")).skip(1);
    let lines: Vec<_> = comment.map_while(|line| line.trim_start().strip_prefix('#')).collect();
    let legend = lines.iter().find(|line| line.contains("G GetItem")).unwrap();
    let actions: BTreeMap<_, _> = legend.split(',').map(|entry| entry.trim().split_once(' ').unwrap()).collect();
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    let mut rows =
        lines.iter().map(|line| cells(line)).skip_while(|row| row.first().is_none_or(|c| c != "partition key"));
    let functions = rows.next().unwrap();
    let mut grants = Grants::new();
    for row in rows.take_while(|row| !row.is_empty()) {
        assert_eq!(row.len(), functions.len(), "{row:?}");
        for (function, cell) in functions.iter().zip(&row).take(row.len() - 1).skip(1).filter(|(_, cell)| *cell != "-")
        {
            let actions = cell.split("").filter(|letter| !letter.is_empty()).map(|letter| actions[letter].to_owned());
            grants.insert((function.clone(), row[0].clone()), actions.collect());
        }
    }
    grants
}

/// The same, from the statements of the roles.
fn granted(template: &str) -> Grants {
    let mut grants = Grants::new();
    for (function, statement) in statements_of(template) {
        let actions = list(&statement["Action"]).into_iter();
        let actions: Vec<_> = actions.filter_map(|action| action.as_str().unwrap().strip_prefix("dynamodb:")).collect();
        let condition = statement["Condition"].as_object().into_iter().flat_map(|operators| operators.values());
        let keys = condition.flat_map(|operator| list(&operator["dynamodb:LeadingKeys"])).filter_map(Value::as_str);
        let indexes = list(&statement["Resource"]).into_iter().filter_map(|resource| {
            let (_, index) = resource["Fn::Sub"].as_str()?.split_once("/index/")?;
            Some(format!("index {index}"))
        });
        for key in keys.map(ToOwned::to_owned).chain(indexes) {
            let function = function.strip_suffix("Function").unwrap().to_owned();
            grants.entry((function, key)).or_default().extend(actions.iter().map(|&action| action.to_owned()));
        }
    }
    grants.retain(|_, actions| !actions.is_empty());
    grants
}

/// The entries of the first grants that the second ones lack, or have with other actions.
fn differing<'a>(some: &'a Grants, others: &Grants) -> Vec<(&'a (String, String), &'a BTreeSet<String>)> {
    some.iter().filter(|(place, actions)| others.get(*place) != Some(*actions)).collect()
}

#[test]
fn the_table_of_roles_is_what_the_roles_allow() {
    let examples = workspaces::examples().into_iter().map(|folder| format!("{folder}/{TEMPLATE}"));
    for template in examples.chain([TEMPLATE.to_owned()]) {
        let (documented, granted) = (documented(&template), granted(&template));
        assert!(granted.len() > 20, "{granted:?}");
        let (only_documented, only_granted) = (differing(&documented, &granted), differing(&granted, &documented));
        assert!(
            only_documented.is_empty() && only_granted.is_empty(),
            "{template}: the table has {only_documented:#?}, but the roles allow {only_granted:#?}"
        );
    }
}

/// The names of the kinds with indexes in a text of Rust.
fn indexed_kinds(text: &str) -> Vec<&str> {
    let kinds = text.split("\nimpl Kind for ").skip(1).filter_map(|rest| rest.split("\n}").next());
    let indexed = kinds.filter(|kind| kind.contains("const INDEXES"));
    let name = |kind| str::split(kind, "const NAME: &'static str = \"").nth(1)?.split('"').next();
    indexed.map(|kind| name(kind).unwrap_or_else(|| panic!("write the name as a literal: {kind}"))).collect()
}

/// The name of the function with this binary.
fn function_of(template: &str, binary: &str) -> String {
    let template = yaml::parse(&read(template)).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let mut names =
        resources.iter().filter(|(_, resource)| resource["Metadata"]["BuildProperties"]["Binary"] == binary);
    names.next().and_then(|(name, _)| name.strip_suffix("Function")).unwrap().to_owned()
}

/// A list by an index reads the items that it found, and a write deletes the entries that do not hold any more. `local` does not
/// evaluate roles, so that the tests of the function itself pass without these actions.
#[test]
fn the_role_of_a_kind_with_indexes_reads_many_items_and_deletes_entries() {
    let mut found = 0;
    let examples = workspaces::examples();
    for folder in examples.iter().map(|folder| format!("{folder}/")).chain([String::new()]) {
        let template = format!("{folder}{TEMPLATE}");
        let granted = granted(&template);
        let functions = workspace().join(&folder).join("functions");
        for path in sources(&functions) {
            let text = std::fs::read_to_string(&path).unwrap();
            for kind in indexed_kinds(&text) {
                found += 1;
                let binary = path.strip_prefix(&functions).unwrap().iter().next().unwrap();
                let place = (function_of(&template, binary.to_str().unwrap()), format!("T#*#I#{kind}"));
                let actions = granted.get(&place).cloned().unwrap_or_default();
                for needed in ["BatchGetItem", "DeleteItem"] {
                    assert!(actions.contains(needed), "{template}: {} lacks {needed} on {}", place.0, place.1);
                }
            }
        }
    }
    assert!(found >= examples.len(), "no kind with an index was found");
}
