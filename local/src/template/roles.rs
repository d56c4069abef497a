//! The roles of the functions, with the policies that the template attaches to them.
//!
//! - <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html#sam-function-policies>
//! - <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html>
//!
//! A statement that only concerns services which `local` does not serve has no meaning here and is left out, so its
//! resources need not be resolvable. Whatever else cannot be evaluated is an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::intrinsics::{IntrinsicError, Resolver};
use super::{ACCOUNT, REGION, TemplateError};
use crate::iam::{KEYS, Policy, PolicyError, SERVICES};

/// The role of a function.
#[derive(Debug, Clone)]
pub struct Role {
    /// The [`Function::name`](super::Function::name) of the function.
    pub function: String,
    /// The name of the role, which is its logical id.
    pub name: String,
    /// The policies, which say what it may do.
    pub policies: Vec<Policy>,
}

/// The reason why a role cannot be evaluated on this machine.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A policy is not valid, or has an element that is not evaluated.
    #[error("a policy of the role cannot be evaluated: {0}")]
    Policy(#[from] PolicyError),
    /// A value of a policy cannot be resolved.
    #[error("a policy of the role cannot be resolved: {0}")]
    Intrinsic(#[from] IntrinsicError),
    /// The role is not in the template.
    #[error("the role {0} is not in the template")]
    Unknown(String),
    /// A managed policy or SAM policy template that is not known here.
    #[error("local does not know what the policy {0} allows")]
    Opaque(String),
    /// A property that is not evaluated.
    #[error("local does not evaluate {0} of a role")]
    Unsupported(&'static str),
}

/// Managed policies that allow nothing which is evaluated here.
const MANAGED: [&str; 5] = [
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
    "CloudWatchLambdaInsightsExecutionRolePolicy",
];

/// SAM's policy templates that allow nothing which is evaluated here.
const FOREIGN_TEMPLATES: [&str; 13] = [
    "AWSSecretsManagerGetSecretValuePolicy",
    "EventBridgePutEventsPolicy",
    "KMSDecryptPolicy",
    "KMSEncryptPolicy",
    "LambdaInvokePolicy",
    "S3CrudPolicy",
    "S3ReadPolicy",
    "S3WritePolicy",
    "SNSPublishMessagePolicy",
    "SQSPollerPolicy",
    "SQSSendMessagePolicy",
    "SSMParameterReadPolicy",
    "StepFunctionsExecutionPolicy",
];

/// SAM's policy templates for a table, with their actions.
const TABLE_TEMPLATES: [(&str, &[&str]); 3] = [
    ("DynamoDBReadPolicy", &["GetItem", "Scan", "Query", "BatchGetItem", "DescribeTable"]),
    ("DynamoDBWritePolicy", &["PutItem", "UpdateItem", "BatchWriteItem"]),
    (
        "DynamoDBCrudPolicy",
        &[
            "GetItem",
            "DeleteItem",
            "PutItem",
            "Scan",
            "Query",
            "UpdateItem",
            "BatchWriteItem",
            "BatchGetItem",
            "DescribeTable",
            "ConditionCheckItem",
        ],
    ),
];

/// Reads the roles of all functions of a document.
pub(super) fn roles(document: &Value, overrides: &BTreeMap<String, String>) -> Result<Vec<Role>, TemplateError> {
    let none = Map::new();
    let resources = document["Resources"].as_object().unwrap_or(&none);
    let reader = Reader { resolver: Resolver::new(document, overrides)?, resources };
    let mut roles = Vec::new();
    for (id, body) in reader.wanted(&["AWS::Serverless::Function"])? {
        let Some(function) = body["Metadata"]["BuildProperties"]["Binary"].as_str() else { continue };
        let (name, mut policies) = reader
            .own(id, &body["Properties"])
            .map_err(|source| TemplateError::Role { resource: id.clone(), source })?;
        for (attached, body) in
            reader.wanted(&["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"])?
        {
            let more = reader.attached(&name, &body["Properties"]);
            policies.extend(more.map_err(|source| TemplateError::Role { resource: attached.clone(), source })?);
        }
        roles.push(Role { function: function.to_owned(), name, policies });
    }
    Ok(roles)
}

struct Reader<'a> {
    resolver: Resolver<'a>,
    resources: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    /// Returns the resources of these types whose condition holds.
    fn wanted(&self, types: &[&str]) -> Result<Vec<(&'a String, &'a Value)>, TemplateError> {
        let mut wanted = Vec::new();
        for (id, body) in self.resources {
            let holds = body["Condition"].as_str().map_or(Ok(true), |condition| self.resolver.condition(condition));
            let holds = holds.map_err(|source| TemplateError::Intrinsic { resource: id.clone(), source })?;
            if holds && types.iter().any(|name| body["Type"] == *name) {
                wanted.push((id, body));
            }
        }
        Ok(wanted)
    }

    /// Returns the name and the policies of a function's role, which SAM makes if the function names none.
    fn own(&self, id: &str, properties: &Value) -> Result<(String, Vec<Policy>), RoleError> {
        if !properties["PermissionsBoundary"].is_null() {
            return Err(RoleError::Unsupported("PermissionsBoundary"));
        }
        let Some(role) = self.choose(&properties["Role"])? else {
            return Ok((format!("{id}Role"), self.list(&properties["Policies"])?));
        };
        let name = referenced(role).ok_or_else(|| RoleError::Unknown(role.to_string()))?;
        let role = self.resources.get(name).filter(|role| role["Type"] == "AWS::IAM::Role");
        let role = &role.ok_or_else(|| RoleError::Unknown(name.to_owned()))?["Properties"];
        if !role["PermissionsBoundary"].is_null() {
            return Err(RoleError::Unsupported("PermissionsBoundary"));
        }
        let mut policies = self.list(&role["ManagedPolicyArns"])?;
        for inline in self.elements(&role["Policies"])? {
            policies.push(self.document(&inline["PolicyDocument"])?);
        }
        Ok((name.to_owned(), policies))
    }

    /// Returns the document of a policy that is a resource of its own, if it is attached to this role.
    fn attached(&self, role: &str, properties: &Value) -> Result<Option<Policy>, RoleError> {
        let mut roles = self.elements(&properties["Roles"])?;
        roles.extend(self.choose(&properties["RoleName"])?);
        let is_attached = roles.into_iter().any(|one| referenced(one) == Some(role));
        is_attached.then(|| self.document(&properties["PolicyDocument"])).transpose()
    }

    /// Reads policies in any of SAM's forms: names of managed policies, policy templates, documents.
    fn list(&self, policies: &Value) -> Result<Vec<Policy>, RoleError> {
        let mut read = Vec::new();
        for policy in self.elements(policies)? {
            let members = policy.as_object();
            if members.is_some_and(|members| members.contains_key("Statement")) {
                read.push(self.document(policy)?);
                continue;
            }
            let in_template = referenced(policy).and_then(|name| self.resources.get(name));
            if let Some(managed) = in_template.filter(|one| one["Type"] == "AWS::IAM::ManagedPolicy") {
                read.push(self.document(&managed["Properties"]["PolicyDocument"])?);
                continue;
            }
            match members.and_then(|members| members.iter().next()) {
                Some((name, parameters)) if !name.starts_with("Fn::") && name != "Ref" => {
                    read.extend(self.expand(name, parameters)?);
                }
                _ => {
                    let resolved = self.resolver.resolve(policy)?.unwrap_or_default();
                    let name = resolved.as_str().unwrap_or_default();
                    if !MANAGED.contains(&name.rsplit('/').next().unwrap_or_default()) {
                        return Err(RoleError::Opaque(resolved.to_string()));
                    }
                }
            }
        }
        Ok(read)
    }

    /// Expands one of SAM's policy templates.
    fn expand(&self, name: &str, parameters: &Value) -> Result<Option<Policy>, RoleError> {
        if FOREIGN_TEMPLATES.contains(&name) {
            return Ok(None);
        }
        let known = TABLE_TEMPLATES.iter().find(|(known, _)| *known == name);
        let (_, actions) = known.ok_or_else(|| RoleError::Opaque(name.to_owned()))?;
        let table = self.resolver.resolve(&parameters["TableName"])?.unwrap_or_default();
        let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", table.as_str().unwrap_or_default());
        let actions: Vec<_> = actions.iter().map(|action| format!("dynamodb:{action}")).collect();
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": [arn, format!("{arn}/index/*")] });
        Ok(Some(Policy::parse(&json!({ "Version": "2012-10-17", "Statement": [statement] }), KEYS)?))
    }

    /// Reads a policy document, without the statements that have no meaning here.
    fn document(&self, document: &Value) -> Result<Policy, RoleError> {
        let document = self.choose(document)?.ok_or(PolicyError::Malformed("PolicyDocument"))?;
        let mut statements = Vec::new();
        for statement in self.elements(&document["Statement"])?.into_iter().filter(|one| is_served(one)) {
            statements.extend(self.resolver.resolve(statement)?);
        }
        let mut document = document.as_object().cloned().ok_or(PolicyError::Malformed("PolicyDocument"))?;
        document.insert("Statement".to_owned(), Value::Array(statements));
        Ok(Policy::parse(&Value::Object(document), KEYS)?)
    }

    /// Returns the elements of a list, or a single value, without those that a condition leaves out.
    fn elements<'v>(&self, list: &'v Value) -> Result<Vec<&'v Value>, RoleError> {
        let Some(list) = self.choose(list)? else { return Ok(Vec::new()) };
        let list = list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice);
        let chosen = list.iter().map(|element| self.choose(element)).filter_map(Result::transpose);
        Ok(chosen.collect::<Result<_, _>>()?)
    }

    /// Follows `Fn::If` to the value that a condition selects, without resolving the value. Nothing and `AWS::NoValue` are
    /// `None`.
    fn choose<'v>(&self, value: &'v Value) -> Result<Option<&'v Value>, IntrinsicError> {
        if value.is_null() || value["Ref"] == "AWS::NoValue" {
            return Ok(None);
        }
        match value["Fn::If"].as_array().map(Vec::as_slice) {
            Some([Value::String(condition), yes, no]) => {
                self.choose(if self.resolver.condition(condition)? { yes } else { no })
            }
            _ => Ok(Some(value)),
        }
    }
}

/// Returns the logical id of a `Ref` or `Fn::GetAtt`, or a name.
fn referenced(value: &Value) -> Option<&str> {
    value["Ref"].as_str().or_else(|| value["Fn::GetAtt"][0].as_str()).or_else(|| value.as_str())
}

/// Returns whether a statement has an action of a service that is evaluated here.
fn is_served(statement: &Value) -> bool {
    let actions = &statement["Action"];
    let actions = actions.as_array().map_or(std::slice::from_ref(actions), Vec::as_slice);
    actions.iter().any(|action| {
        // Anything but a text is for the evaluator to judge, and so is `NotAction`.
        let Some((service, _)) = action.as_str().and_then(|action| action.split_once(':')) else { return true };
        service.contains(['*', '?']) || SERVICES.iter().any(|served| served.eq_ignore_ascii_case(service))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::{Context, Decision, decide};
    use crate::template::{Template, yaml};

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/Table";

    fn read(resources: &str) -> Result<Vec<Role>, TemplateError> {
        let text = format!(
            "
Conditions: {{Yes: !Equals [1, 1], No: !Equals [1, 2]}}
Resources:
  Table: {{Type: AWS::DynamoDB::Table}}
{resources}"
        );
        roles(&yaml::parse(&text).unwrap(), &BTreeMap::new())
    }

    fn function(properties: &str) -> String {
        let metadata = "Metadata: {BuildProperties: {Binary: f}}";
        format!("  F: {{Type: AWS::Serverless::Function, {metadata}, Properties: {{{properties}}}}}\n")
    }

    fn is_allowed(resources: &str, action: &str, resource: &str) -> bool {
        let roles = read(resources).unwrap();
        decide(&roles[0].policies, action, resource, &Context::default()) == Decision::Allow
    }

    const GET: &str = "Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt Table.Arn";

    #[test]
    fn the_shipped_roles_allow_what_their_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
        let roles = Template::roles(path.as_ref(), &BTreeMap::new()).unwrap();
        let tenants = roles.iter().find(|role| role.function == "tenants").unwrap();
        assert_eq!(tenants.name, "TenantsFunctionRole");
        let plan = "arn:aws:apigateway:us-east-1::/usageplans/freeplan/keys";
        let tag = Context::default().with("aws:RequestTag/tenantry", ["local"]);
        let keys = "arn:aws:apigateway:us-east-1::/apikeys";
        let row = |key| Context::default().with("dynamodb:LeadingKeys", [key]);
        for (action, resource, context, expected) in [
            ("apigateway:POST", plan, Context::default(), true),
            ("apigateway:POST", keys, tag.clone(), true),
            ("apigateway:POST", keys, Context::default(), false),
            ("apigateway:DELETE", keys, tag, false),
            ("dynamodb:GetItem", TABLE, row("TENANT#a"), true),
            ("dynamodb:GetItem", TABLE, row("TOKEN#a"), false),
            ("dynamodb:Scan", TABLE, Context::default(), false),
        ] {
            let decision = decide(&tenants.policies, action, resource, &context);
            assert_eq!(decision == Decision::Allow, expected, "{action} on {resource} with {context}");
        }
    }

    #[test]
    fn policies_in_every_form_are_read() {
        let inline = function(&format!("Policies: [Statement: [{{{GET}}}]]"));
        let chosen = function(&format!("Policies: [Statement: [!If [Yes, {{{GET}}}, !Ref AWS::NoValue]]]"));
        let template = function("Policies: [DynamoDBReadPolicy: {TableName: !Ref Table}]");
        let role = function("Role: !GetAtt R.Arn");
        let role = format!(
            "{role}  R: {{Type: AWS::IAM::Role, Properties: {{Policies: [{{PolicyDocument: {{Statement: {{{GET}}}}}}}]}}}}"
        );
        let beside = function("Policies: AWSLambdaBasicExecutionRole");
        let beside = format!(
            "{beside}  P: {{Type: AWS::IAM::Policy, Properties: {{Roles: [!Ref FRole], PolicyDocument: {{Statement: {{{GET}}}}}}}}}"
        );
        let managed = function("Policies: [!Ref P]");
        let managed = format!(
            "{managed}  P: {{Type: AWS::IAM::ManagedPolicy, Properties: {{PolicyDocument: {{Statement: {{{GET}}}}}}}}}"
        );
        for resources in [inline, chosen, template, role, beside, managed] {
            assert!(is_allowed(&resources, "dynamodb:GetItem", TABLE), "{resources}");
            assert!(!is_allowed(&resources, "dynamodb:PutItem", TABLE), "{resources}");
        }
    }

    #[test]
    fn what_a_condition_leaves_out_or_another_role_has_allows_nothing() {
        let left_out = function(&format!("Policies: [Statement: [!If [No, {{{GET}}}, !Ref AWS::NoValue]]]"));
        let other = format!(
            "{}  P: {{Type: AWS::IAM::Policy, Properties: {{Roles: [!Ref GRole], PolicyDocument: {{Statement: {{{GET}}}}}}}}}",
            function("")
        );
        let absent = format!(
            "{}  P: {{Type: AWS::IAM::Policy, Condition: No, Properties: {{Roles: [!Ref FRole], PolicyDocument: {{Statement: {{{GET}}}}}}}}}",
            function("")
        );
        for resources in [left_out, other, absent] {
            assert!(!is_allowed(&resources, "dynamodb:GetItem", TABLE), "{resources}");
        }
    }

    #[test]
    fn statements_of_other_services_need_not_be_resolvable() {
        let statement =
            "{Effect: Allow, Action: 'sns:Publish', Resource: !GetAtt Topic.Arn, Condition: {IpAddress: {}}}";
        let foreign = function(&format!("Policies: [SQSPollerPolicy: {{}}, Statement: [{statement}]]"));
        assert!(!is_allowed(&foreign, "sns:Publish", "*"));
    }

    #[test]
    fn what_cannot_be_evaluated_is_an_error_that_names_it() {
        let statement = |extra: &str| function(&format!("Policies: [Statement: [{{{GET}, {extra}}}]]"));
        for (resources, name) in [
            (function("Policies: [AdministratorAccess]"), "AdministratorAccess"),
            (function("Policies: [DynamoDBReconfigurePolicy: {}]"), "DynamoDBReconfigurePolicy"),
            (function("PermissionsBoundary: x"), "PermissionsBoundary"),
            (function("Role: arn:aws:iam::1:role/foreign"), "foreign"),
            (statement("Condition: {StringEquals: {'dynamodb:Select': COUNT}}"), "dynamodb:Select"),
            (statement("Condition: {IpAddress: {'aws:SourceIp': 10.0.0.0/8}}"), "IpAddress"),
            (statement("Principal: '*'"), "Principal"),
            (
                function("Policies: [Statement: [{Effect: Allow, Action: '*', Resource: !GetAtt Topic.Arn}]]"),
                "`Topic` is neither",
            ),
        ] {
            let error = read(&resources).unwrap_err().to_string();
            assert!(error.starts_with("resource `F`: ") && error.contains(name), "{resources}: {error}");
        }
    }
}
