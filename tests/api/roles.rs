//! What the functions' roles allow: their own actions, on what is theirs, and nothing else.

use local::template::yaml;
use serde_json::Value;

use crate::support::read;

/// The statements of every function's policies, with the function's name.
fn statements() -> Vec<(String, Value)> {
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let resources = template["Resources"].as_object().unwrap().clone();
    // A policy that stands beside its function.
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

/// A value that may be one or a list.
fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |values| values.iter().collect())
}

#[test]
fn actions_and_resources_are_named() {
    let statements = statements();
    assert!(statements.len() >= 8);
    for (function, statement) in statements {
        assert_eq!(statement["Effect"], "Allow", "{function}");
        assert!(statement["Sid"].is_string(), "{function}: what is {statement} for?");
        for action in list(&statement["Action"]) {
            assert!(!action.as_str().unwrap().contains('*'), "{function} may {action}");
        }
        for resource in list(&statement["Resource"]) {
            assert_ne!(resource, "*", "{function}");
        }
    }
}

#[test]
fn items_are_reached_by_the_beginning_of_their_key() {
    for (function, statement) in statements() {
        let actions = list(&statement["Action"]);
        let of_table = actions.iter().any(|action| action.as_str().unwrap().starts_with("dynamodb:"));
        // An index holds what its keys let in; only its owner queries it.
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
