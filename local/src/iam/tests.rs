//! The evaluator against the rules and examples of AWS's documentation, and against a second implementation.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod naive;

const KEYS: &[ContextKey] = &[
    ContextKey::multivalued("dynamodb:leadingkeys"),
    ContextKey::multivalued("aws:tagkeys"),
    ContextKey::single("dynamodb:enclosingoperation"),
    ContextKey::single("aws:username"),
    ContextKey::single("aws:principaltype"),
    ContextKey::single("aws:securetransport"),
    ContextKey::single("aws:principaltag/"),
    ContextKey::single("aws:requesttag/"),
    ContextKey::single("aws:resourcetag/"),
];

const ACTION: &str = "execute-api:Invoke";

fn arn(rest: &str) -> String {
    format!("arn:aws:execute-api:us-east-1:000000000000:local/v1/{rest}")
}

fn policy(statements: &Value) -> Policy {
    Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statements }), KEYS).unwrap()
}

fn evaluate(statements: &Value, resource: &str) -> Decision {
    policy(statements).evaluate(ACTION, &arn(resource), &Context::default())
}

fn statement(effect: &str, resource: &str) -> Value {
    json!({ "Effect": effect, "Action": ACTION, "Resource": arn(resource) })
}

/// Returns a context from pairs of a key and its values.
fn context(pairs: &[(&str, &[&str])]) -> Context {
    pairs.iter().fold(Context::default(), |context, (key, values)| context.with(key, values.iter().copied()))
}

/// Returns whether a condition holds.
fn holds(condition: &Value, context: &Context) -> bool {
    let statement = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }]);
    policy(&statement).evaluate("a:B", "arn", context) == Decision::Allow
}

#[test]
fn nothing_is_allowed_that_no_statement_allows() {
    assert_eq!(evaluate(&json!([]), "GET/a"), Decision::ImplicitDeny);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/a")]), "GET/b"), Decision::ImplicitDeny);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/a")]), "POST/a"), Decision::ImplicitDeny);
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_AccessPolicyLanguage_Interplay.html>
#[test]
fn a_deny_wins_wherever_it_stands() {
    let (allow, deny) = (statement("Allow", "*"), statement("Deny", "DELETE/*"));
    for statements in [json!([allow, deny]), json!([deny, allow])] {
        assert_eq!(evaluate(&statements, "DELETE/a"), Decision::ExplicitDeny);
        assert_eq!(evaluate(&statements, "GET/a"), Decision::Allow);
    }
    let policies = [policy(&json!([allow])), policy(&json!([deny]))];
    assert_eq!(decide(&policies, ACTION, &arn("DELETE/a"), &Context::default()), Decision::ExplicitDeny);
    assert_eq!(decide(&policies, ACTION, &arn("GET/a"), &Context::default()), Decision::Allow);
    assert_eq!(decide(&[], ACTION, &arn("GET/a"), &Context::default()), Decision::ImplicitDeny);
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
#[test]
fn a_star_matches_slashes_and_a_question_mark_one_character() {
    assert_eq!(evaluate(&json!([statement("Allow", "GET/a/*/c")]), "GET/a/b/b/c"), Decision::Allow);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/a/*/c")]), "GET/a/b/d"), Decision::ImplicitDeny);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/?")]), "GET/a"), Decision::Allow);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/?")]), "GET/é"), Decision::Allow);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/?")]), "GET/aa"), Decision::ImplicitDeny);
    assert_eq!(evaluate(&json!([statement("Allow", "GET/a.c")]), "GET/abc"), Decision::ImplicitDeny);
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html>
#[test]
fn actions_are_not_case_sensitive_and_arns_are() {
    let statement =
        json!({ "Sid": "S", "Effect": "Allow", "Action": ["a:B", "EXECUTE-API:*"], "Resource": [arn("x"), arn("y")] });
    let policy = Policy::parse(&json!({ "Statement": statement }), &[]).unwrap();
    let decide = |action: &str, resource: &str| policy.evaluate(action, &arn(resource), &Context::default());
    assert_eq!(decide(ACTION, "y"), Decision::Allow);
    assert_eq!(decide("A:b", "y"), Decision::Allow);
    assert_eq!(decide("other:Invoke", "y"), Decision::ImplicitDeny);
    assert_eq!(decide(ACTION, "Y"), Decision::ImplicitDeny);
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html>,
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html>
#[test]
fn the_opposites_match_everything_else() {
    let policy = policy(&json!([
        { "Effect": "Allow", "NotAction": "iam:*", "Resource": "*" },
        { "Effect": "Deny", "Action": "s3:*", "NotResource": ["arn:aws:s3:::own", "arn:aws:s3:::own/*"] },
    ]));
    let decide = |action: &str, resource: &str| policy.evaluate(action, resource, &Context::default());
    assert_eq!(decide("iam:CreateUser", "arn:aws:iam::1:user/a"), Decision::ImplicitDeny);
    assert_eq!(decide("s3:GetObject", "arn:aws:s3:::own/a"), Decision::Allow);
    assert_eq!(decide("s3:GetObject", "arn:aws:s3:::foreign/a"), Decision::ExplicitDeny);
}

/// The rules of
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>, one a line:
/// the condition, the request's context, and whether the condition holds.
#[test]
fn operators_follow_the_documentation() {
    type Case<'a> = (Value, &'a [(&'a str, &'a [&'a str])], bool);
    let cases: &[Case<'_>] = &[
        (json!({}), &[], true),
        // Several values of a condition are alternatives; with a negated operator, none of them may match.
        (json!({ "StringEquals": { "aws:username": ["ann", "bob"] } }), &[("aws:username", &["bob"])], true),
        (json!({ "StringEquals": { "aws:username": ["ann", "bob"] } }), &[("aws:username", &["eve"])], false),
        (json!({ "StringNotEquals": { "aws:username": ["ann", "bob"] } }), &[("aws:username", &["bob"])], false),
        (json!({ "StringNotEquals": { "aws:username": ["ann", "bob"] } }), &[("aws:username", &["eve"])], true),
        // Several keys and several operators all have to hold.
        (
            json!({ "StringEquals": { "aws:username": "ann", "aws:principaltype": "User" } }),
            &[("aws:username", &["ann"]), ("aws:principaltype", &["Role"])],
            false,
        ),
        (
            json!({ "StringEquals": { "aws:username": "ann" }, "Bool": { "aws:SecureTransport": "true" } }),
            &[("aws:username", &["ann"]), ("aws:SecureTransport", &["false"])],
            false,
        ),
        // The names of keys are not case-sensitive, and the values depend on the operator.
        (json!({ "StringEquals": { "AWS:UserName": "ann" } }), &[("aws:username", &["ann"])], true),
        (json!({ "StringEquals": { "aws:username": "john" } }), &[("aws:username", &["John"])], false),
        (json!({ "StringEqualsIgnoreCase": { "aws:username": "john" } }), &[("aws:username", &["John"])], true),
        (json!({ "StringNotEqualsIgnoreCase": { "aws:username": "john" } }), &[("aws:username", &["John"])], false),
        (json!({ "StringLike": { "aws:username": "J*" } }), &[("aws:username", &["john"])], false),
        // Wildcards are only for StringLike.
        (json!({ "StringLike": { "aws:username": "j?hn*" } }), &[("aws:username", &["john.doe"])], true),
        (json!({ "StringNotLike": { "aws:username": "j*" } }), &[("aws:username", &["john"])], false),
        (json!({ "StringEquals": { "aws:username": "j*" } }), &[("aws:username", &["john"])], false),
        (json!({ "StringEquals": { "aws:username": "j*" } }), &[("aws:username", &["j*"])], true),
        // Without the key: false, true if negated, true with IfExists.
        (json!({ "StringEquals": { "aws:username": "ann" } }), &[], false),
        (json!({ "StringLike": { "aws:username": "*" } }), &[], false),
        (json!({ "StringNotEquals": { "aws:username": "ann" } }), &[], true),
        (json!({ "StringEqualsIfExists": { "aws:username": "ann" } }), &[], true),
        (json!({ "StringEqualsIfExists": { "aws:username": "ann" } }), &[("aws:username", &["bob"])], false),
        (json!({ "Bool": { "aws:SecureTransport": "false" } }), &[], false),
        (json!({ "BoolIfExists": { "aws:SecureTransport": "false" } }), &[], true),
        (json!({ "Bool": { "aws:SecureTransport": true } }), &[("aws:SecureTransport", &["True"])], true),
        // Null: whether the key is absent.
        (json!({ "Null": { "aws:username": "true" } }), &[], true),
        (json!({ "Null": { "aws:username": true } }), &[("aws:username", &["ann"])], false),
        (json!({ "Null": { "aws:username": "false" } }), &[("aws:username", &["ann"])], true),
        (json!({ "Null": { "dynamodb:LeadingKeys": "false" } }), &[], false),
    ];
    for (condition, pairs, expected) in cases {
        assert_eq!(holds(condition, &context(pairs)), *expected, "{condition} {pairs:?}");
    }
}

/// The rules of
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>
/// and <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition_examples-multi-valued-context-keys.html>.
#[test]
fn sets_follow_the_documentation() {
    for (operator, keys, expected) in [
        ("ForAllValues:StringLike", &["T#a", "T#b"][..], true),
        ("ForAllValues:StringLike", &["T#a", "X"], false),
        ("ForAllValues:StringLike", &[], true),
        ("ForAllValues:StringLike", &[""], true),
        ("ForAnyValue:StringLike", &["T#a", "X"], true),
        ("ForAnyValue:StringLike", &["X"], false),
        ("ForAnyValue:StringLike", &[], false),
        ("ForAnyValue:StringLikeIfExists", &[], true),
        ("ForAllValues:StringNotLike", &["X", "Y"], true),
        ("ForAllValues:StringNotLike", &["X", "T#a"], false),
        ("ForAnyValue:StringNotLike", &["X", "T#a"], true),
        ("ForAnyValue:StringNotLike", &["T#a"], false),
        ("ForAllValues:StringEquals", &["T#*", "K"], true),
        ("ForAllValues:StringEquals", &["T#a"], false),
    ] {
        let condition = json!({ operator: { "dynamodb:LeadingKeys": ["T#*", "K"] } });
        assert_eq!(holds(&condition, &context(&[("dynamodb:LeadingKeys", keys)])), expected, "{operator} {keys:?}");
    }
    let strict = json!({
        "ForAllValues:StringLike": { "dynamodb:LeadingKeys": "T#*" },
        "Null": { "dynamodb:LeadingKeys": "false" },
    });
    assert!(!holds(&strict, &Context::default()), "Null excludes requests without the key");
    assert!(holds(&strict, &context(&[("dynamodb:LeadingKeys", &["T#a"])])));
}

/// The examples of <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>.
#[test]
fn the_examples_for_transactions() {
    let actions = json!([
        "dynamodb:ConditionCheckItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem"
    ]);
    let table = "arn:aws:dynamodb:us-east-1:123456789012:table/table04";
    let within = json!({ "ForAnyValue:StringEquals":
        { "dynamodb:EnclosingOperation": ["TransactWriteItems", "TransactGetItems"] } });
    let resource = "arn:aws:dynamodb:*:*:table/table04";
    let (alone, enclosed) = (Context::default(), context(&[("dynamodb:EnclosingOperation", &["TransactWriteItems"])]));
    let only = policy(&json!([
        { "Effect": "Allow", "Action": actions, "Resource": [resource], "Condition": within }
    ]));
    assert_eq!(only.evaluate("dynamodb:PutItem", table, &enclosed), Decision::Allow);
    assert_eq!(only.evaluate("dynamodb:PutItem", table, &alone), Decision::ImplicitDeny);
    let never = policy(&json!([
        { "Effect": "Deny", "Action": actions, "Resource": [resource], "Condition": within },
        { "Effect": "Allow", "Action": ["dynamodb:PutItem"], "Resource": [resource] },
    ]));
    assert_eq!(never.evaluate("dynamodb:PutItem", table, &enclosed), Decision::ExplicitDeny);
    assert_eq!(never.evaluate("dynamodb:PutItem", table, &alone), Decision::Allow);
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>
#[test]
fn variables_take_their_values_from_the_request() {
    let of_tenant = json!({ "ForAllValues:StringLike":
        { "dynamodb:LeadingKeys": "T#${aws:PrincipalTag/tenant}#*" } });
    let acme = context(&[("aws:PrincipalTag/Tenant", &["acme"])]);
    let request = |key: &'static str| acme.clone().with("dynamodb:LeadingKeys", [key]);
    assert!(holds(&of_tenant, &request("T#acme#USAGE")));
    assert!(!holds(&of_tenant, &request("T#globex#USAGE")));
    assert!(!holds(&of_tenant, &context(&[("dynamodb:LeadingKeys", &["T##USAGE"])])), "a variable without a value");
    let star = context(&[("aws:PrincipalTag/tenant", &["*"]), ("dynamodb:LeadingKeys", &["T#acme#USAGE"])]);
    assert!(!holds(&of_tenant, &star), "a value has no wildcards");

    let default = json!({ "StringEquals": { "aws:username": "${aws:PrincipalTag/team, 'company-wide'}" } });
    assert!(holds(&default, &context(&[("aws:username", &["company-wide"])])));
    assert!(!holds(&default, &context(&[("aws:username", &["company-wide"]), ("aws:PrincipalTag/team", &["x"])])));

    let literal = json!({ "StringLike": { "aws:username": "a${*}${?}${$}*" } });
    assert!(holds(&literal, &context(&[("aws:username", &["a*?$b"])])));
    assert!(!holds(&literal, &context(&[("aws:username", &["abcdb"])])));

    let home = json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b/${aws:username}/*" }]);
    let ann = context(&[("aws:username", &["ann"])]);
    assert_eq!(policy(&home).evaluate("s3:GetObject", "arn:aws:s3:::b/ann/x", &ann), Decision::Allow);
    assert_eq!(policy(&home).evaluate("s3:GetObject", "arn:aws:s3:::b/bob/x", &ann), Decision::ImplicitDeny);
    let old = Policy::parse(&json!({ "Statement": home }), KEYS).unwrap();
    assert_eq!(old.evaluate("s3:GetObject", "arn:aws:s3:::b/ann/x", &ann), Decision::ImplicitDeny);
    assert_eq!(old.evaluate("s3:GetObject", "arn:aws:s3:::b/${aws:username}/x", &ann), Decision::Allow);
}

#[test]
fn a_policy_with_an_element_that_is_not_evaluated_is_rejected_and_the_error_names_it() {
    let with = |extra: &str, value: Value| {
        let mut statement = statement("Allow", "*");
        statement[extra] = value;
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    };
    for (document, name) in [
        (with("Condition", json!({ "IpAddress": { "aws:username": "1" } })), "IpAddress"),
        (with("Condition", json!({ "StringEquals": { "aws:SourceIp": "1" } })), "aws:SourceIp"),
        (with("Condition", json!({ "StringEquals": { "aws:PrincipalTag/": "1" } })), "aws:PrincipalTag/"),
        (with("Condition", json!({ "StringEquals": { "dynamodb:LeadingKeys": "1" } })), "needs ForAllValues"),
        (with("Condition", json!({ "ForSome:StringEquals": { "aws:username": "1" } })), "ForSome"),
        (with("Condition", json!({ "NullIfExists": { "aws:username": "true" } })), "NullIfExists"),
        (with("Condition", json!({ "Null": { "aws:username": "maybe" } })), "Condition"),
        (with("Condition", json!({ "StringEquals": { "aws:username": [] } })), "Condition"),
        (with("Condition", json!({ "StringEquals": "aws:username" })), "Condition"),
        (with("Condition", json!({ "StringNotEquals": { "aws:username": "${aws:username}" } })), "StringNotEquals"),
        (with("Condition", json!({ "StringEquals": { "aws:username": "${aws:userid}" } })), "aws:userid"),
        (with("Condition", json!({ "StringEquals": { "aws:username": "${aws:username" } })), "without `}`"),
        (with("NotAction", json!("a:b")), "Action"),
        (with("Principal", json!("*")), "Principal"),
        (with("Effect", json!("allow")), "Effect"),
        (with("Action", json!([])), "Action"),
        (with("Action", json!(1)), "Action"),
        (with("Resource", json!(null)), "Resource"),
        (with("Resource", json!("arn:${aws:userid}")), "aws:userid"),
        (with("Resource", json!("arn:${dynamodb:LeadingKeys}")), "dynamodb:LeadingKeys"),
        (json!({ "Version": "2020-01-01", "Statement": [] }), "Version"),
        (json!({ "Version": "2012-10-17" }), "Statement"),
        (json!({ "Version": "2012-10-17", "Statement": "Allow" }), "Statement"),
        (json!({ "Version": "2012-10-17", "Statement": [], "Extra": 1 }), "Extra"),
        (json!([]), "policyDocument"),
        (json!(null), "policyDocument"),
    ] {
        let error = Policy::parse(&document, KEYS).unwrap_err().to_string();
        assert!(error.contains(name), "{document}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_second_implementation_decides_alike(
        policies in prop::collection::vec(naive::any_policy(), 0..3),
        requests in prop::collection::vec(naive::any_request(), 1..8),
    ) {
        let parsed: Vec<_> =
            policies.iter().map(|policy| Policy::parse(&policy.document(), KEYS).unwrap()).collect();
        for request in &requests {
            let decision = decide(&parsed, &request.action, &request.resource, &request.context());
            prop_assert_eq!(decision, naive::decide(&policies, request), "{:?} {:?}", request, policies);
        }
    }

    #[test]
    fn a_text_without_wildcards_matches_itself_only(a in "[a-z/.+(){}\\[\\]^$|\\\\-]{0,12}", b in "[a-z/.+-]{0,12}") {
        prop_assume!(!a.contains("${"));
        let statements = json!([statement("Allow", &a)]);
        prop_assert_eq!(evaluate(&statements, &a), Decision::Allow);
        prop_assert_eq!(evaluate(&statements, &b) == Decision::Allow, a == b);
    }

    #[test]
    fn a_star_stands_for_any_text(a in "[a-z/]{0,6}", b in "[a-zA-Z0-9/%._~-]{0,9}", c in "[a-z/]{0,6}") {
        let statements = json!([statement("Allow", &format!("{a}*{c}"))]);
        prop_assert_eq!(evaluate(&statements, &format!("{a}{b}{c}")), Decision::Allow);
    }
}
