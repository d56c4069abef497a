//! Tests that CloudFormation can create the resources in some order: none needs itself indirectly, or one that may be
//! missing.

use std::collections::{BTreeMap, BTreeSet};

use local::template::yaml;
use serde_json::Value;

use crate::support::read;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The resources that each resource needs, as SAM expands them.
fn graph() -> Graph {
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let mut graph = Graph::new();
    for (name, resource) in resources {
        let mut resource = resource.clone();
        // SAM moves a function's routes into the API, so the API needs the function, and not the other way round.
        if let Some(events) = resource["Properties"].as_object_mut().and_then(|properties| properties.remove("Events"))
        {
            for event in events.as_object().unwrap().values().filter(|event| event["Type"] == "Api") {
                let api = event["Properties"]["RestApiId"]["Ref"].as_str().unwrap().to_owned();
                graph.entry(api).or_default().insert(name.clone());
            }
        }
        let mut mentioned = BTreeSet::new();
        mentions(&resource, &mut mentioned);
        // SAM creates `Function` and `FunctionRole` from one resource, and likewise `Api` and `Api.Stage`.
        let known = mentioned.iter().filter_map(|text| {
            let text = text.split('.').next().unwrap_or_default();
            [text, text.strip_suffix("Role").unwrap_or(text)].into_iter().find(|one| resources.contains_key(*one))
        });
        graph.entry(name.clone()).or_default().extend(known.map(ToOwned::to_owned).filter(|one| one != name));
    }
    graph
}

/// Collects the names to which a value refers by `Ref`, `Fn::GetAtt`, `Fn::Sub` and `DependsOn`.
fn mentions(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("Ref" | "Fn::GetAtt" | "DependsOn", Value::String(text)) => drop(found.insert(text.clone())),
                    ("Fn::GetAtt" | "DependsOn", Value::Array(parts)) => {
                        found.extend(parts.iter().filter_map(|part| part.as_str().map(ToOwned::to_owned)));
                    }
                    ("Fn::Sub", Value::String(text)) => {
                        let names = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
                        found.extend(names.map(ToOwned::to_owned));
                    }
                    _ => mentions(member, found),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| mentions(element, found)),
        _ => {}
    }
}

/// Collects the resources that a resource needs, directly or indirectly.
fn needs<'a>(graph: &'a Graph, name: &str, found: &mut BTreeSet<&'a str>) {
    for other in graph.get(name).into_iter().flatten() {
        if found.insert(other) {
            needs(graph, other, found);
        }
    }
}

#[test]
fn no_resource_needs_itself() {
    let graph = graph();
    assert!(graph["Api"].contains("RecordsFunction") && graph["FreePlan"].contains("Api"), "{graph:?}");
    for name in graph.keys() {
        let mut found = BTreeSet::new();
        needs(&graph, name, &mut found);
        assert!(!found.contains(name.as_str()), "{name} needs {found:?}, and so itself");
    }
}

/// `DependsOn` has to name a resource that exists. A reference inside of `Fn::If` waits for a conditional one.
#[test]
fn no_resource_depends_on_one_that_a_condition_leaves_out() {
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let mut checked = 0;
    for (name, resource) in resources {
        let depends_on = match &resource["DependsOn"] {
            Value::Null => continue,
            Value::Array(names) => names.clone(),
            one => vec![one.clone()],
        };
        for other in depends_on {
            let condition = &resources[other.as_str().unwrap()]["Condition"];
            let exists = condition.is_null() || *condition == resource["Condition"];
            assert!(exists, "{name} depends on {other}, which exists only if {condition} holds");
            checked += 1;
        }
    }
    assert!(checked > 0, "no resource has a DependsOn");
}
