use serde_json::{Value, json};
use stand_in::{Behaviour, Role, SigningCertificate, Team, User};

use crate::api::Api;
use crate::client::{Received, get};

const ALL: [&str; 4] = ["/v1/apps", "/v1/bundleIds", "/v1/certificates", "/v1/users"];

fn team(bundle_ids: &[&str]) -> Team {
    Team::with_apps(bundle_ids.iter().copied())
}

fn error(received: &Received, status: u16, code: &str) -> Value {
    assert_eq!(received.status(), status, "{}", received.text());
    let error = received.json()["errors"][0].clone();
    assert_eq!((&error["status"], &error["code"]), (&json!(status.to_string()), &json!(code)));
    assert_eq!(error["id"].as_str().unwrap().len(), 36);
    assert!(error["title"].is_string() && error["detail"].is_string());
    error
}

fn values(received: &Received, attribute: &str) -> Vec<String> {
    assert_eq!(received.status(), 200, "{}", received.text());
    let json = received.json();
    let data = json["data"].as_array().unwrap().iter();
    data.map(|entry| entry["attributes"][attribute].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_app_is_found_by_its_bundle_id_with_the_fields_that_were_asked_for() {
    let api = Api::with_team(team(&["com.example.coffee"]), |_| {});
    for query in [
        "filter[bundleId]=com.example.coffee&fields[apps]=bundleId,name&limit=200",
        "filter%5BbundleId%5D=com.example.coffee&fields%5Bapps%5D=bundleId%2Cname&limit=200",
    ] {
        let received = api.ask(&format!("/v1/apps?{query}"));
        assert_eq!(api.why(), "ok");
        assert_eq!(
            received.json(),
            json!({
                "data": [{
                    "type": "apps",
                    "id": "1600000001",
                    "attributes": {"bundleId": "com.example.coffee", "name": "coffee"},
                    "links": {"self": format!("{}/v1/apps/1600000001", api.base)},
                }],
                "links": {"self": format!("{}/v1/apps?{query}", api.base)},
                "meta": {"paging": {"total": 1, "limit": 200}},
            })
        );
    }
    let attributes = &api.ask("/v1/apps").json()["data"][0]["attributes"];
    assert!(attributes["sku"].is_string() && attributes["primaryLocale"].is_string());
}

#[test]
fn the_filter_finds_more_than_the_bundle_id_that_was_asked_for() {
    let api = Api::with_team(team(&["com.example.app-staging", "org.other", "com.example.app"]), |_| {});
    let found = values(&api.ask("/v1/apps?filter[bundleId]=com.example.app"), "bundleId");
    assert_eq!(found, ["com.example.app-staging", "com.example.app"]);
    assert_eq!(values(&api.ask("/v1/apps?filter[bundleId]=Example.App"), "bundleId").len(), 2);
    assert_eq!(values(&api.ask("/v1/apps?filter[bundleId]=org.,none"), "bundleId"), ["org.other"]);
    assert!(values(&api.ask("/v1/apps?filter[bundleId]=com.example.apps"), "bundleId").is_empty());
}

#[test]
fn a_long_list_comes_in_pages_that_lead_to_each_other() {
    let ids: Vec<_> = (0..205).map(|number| format!("com.example.app{number:03}")).collect();
    let api = Api::with_team(Team::with_apps(ids.iter().map(String::as_str)), |_| {});
    let token = api.token();

    let mut found = Vec::new();
    let mut url =
        format!("{}/v1/apps?filter[bundleId]=com.example&limit=100&fields[apps]=bundleId", api.base);
    let mut pages = 0;
    loop {
        let received = get(&url, &[("Authorization", &format!("Bearer {token}"))]);
        found.extend(values(&received, "bundleId"));
        pages += 1;
        let json = received.json();
        assert_eq!(json["meta"]["paging"], json!({"total": 205, "limit": 100}));
        assert_eq!(json["data"][0]["attributes"].as_object().unwrap().len(), 1);
        match json["links"].get("next") {
            Some(next) => next.as_str().unwrap().clone_into(&mut url),
            None => break,
        }
    }
    assert_eq!((pages, &found), (3, &ids));
    let json = api.ask("/v1/apps").json();
    assert_eq!((json["data"].as_array().unwrap().len(), &json["meta"]["paging"]["limit"]), (50, &json!(50)));
}

#[test]
fn a_parameter_that_apple_does_not_know_is_refused_by_its_name() {
    let api = Api::with_team(team(&["com.example.app"]), |_| {});
    let illegal = "A given parameter is not allowed for this request";
    let invalid = "A parameter has an invalid value";
    for (query, code, title, detail, parameter) in [
        ("x=1", "ILLEGAL", illegal, "The parameter 'x' can not be used with this request", "x"),
        (
            "fields[bundleIds]=name",
            "ILLEGAL",
            illegal,
            "can not be used with this request",
            "fields[bundleIds]",
        ),
        (
            "filter[identifier]=a",
            "INVALID",
            invalid,
            "'identifier' is not a valid filter type",
            "filter[identifier]",
        ),
        ("fields[apps]=name,nope", "INVALID", invalid, "'nope' is not a valid field name", "fields[apps]"),
        ("fields[apps]=", "INVALID", invalid, "'' is not a valid field name", "fields[apps]"),
        ("limit=201", "INVALID", invalid, "from 1 to 200", "limit"),
        ("limit=0", "INVALID", invalid, "from 1 to 200", "limit"),
        ("limit=ten", "INVALID", invalid, "from 1 to 200", "limit"),
        ("limit=1&limit=1", "INVALID", invalid, "more than once", "limit"),
        ("cursor=abc", "INVALID", invalid, "'abc' is not a valid cursor for this request", "cursor"),
        ("filter[bundleId]=%zz", "INVALID", invalid, "percent-encoded", "filter[bundleId]"),
    ] {
        let error = error(&api.ask(&format!("/v1/apps?{query}")), 400, &format!("PARAMETER_ERROR.{code}"));
        assert_eq!((&error["title"], &error["source"]), (&json!(title), &json!({"parameter": parameter})));
        assert!(error["detail"].as_str().unwrap().contains(detail), "{error}");
        assert_ne!(api.why(), "ok");
    }
}

#[test]
fn an_unknown_path_is_404_and_only_for_who_may_enter() {
    let api = Api::new(|_| {});
    for path in ["/v1/devices?limit=1", "/v1/apps/?limit=1", "/v2/apps?limit=1", "/v1"] {
        let received = api.ask(path);
        assert_eq!(received.status(), 404, "{path}");
    }
    let error = error(&api.ask("/v1/agreements"), 404, "NOT_FOUND");
    assert!(error["detail"].as_str().unwrap().ends_with("/v1/agreements"));
    assert_eq!(api.get("/v1/agreements", "x.y.z").status(), 401);
}

#[test]
fn an_enterprise_team_has_bundle_ids_certificates_and_users_but_no_apps() {
    let api = Api::with_team(team(&["com.example.app", "com.example"]), |account| account.enterprise = true);
    error(&api.ask("/v1/apps"), 404, "NOT_FOUND");
    assert_ne!(api.why(), "ok");
    let received = api.ask("/v1/bundleIds?filter[identifier]=com.example.app&limit=200");
    assert_eq!(values(&received, "identifier"), ["com.example.app"]);
    assert_eq!(received.json()["data"][0]["type"], "bundleIds");
    for path in ["/v1/certificates", "/v1/users"] {
        assert_eq!(api.ask(path).status(), 200, "{path}");
    }
}

#[test]
fn each_role_sees_what_it_may_and_the_rest_is_403() {
    let user = User { id: "u1".to_owned(), username: "jane@example.com".to_owned() };
    let certificate = SigningCertificate::default();
    for (role, provisioning, seen) in [
        (Role::Admin, false, [true, true, true, true]),
        (Role::AppManager, true, [true, true, true, false]),
        (Role::AppManager, false, [true, false, false, false]),
        (Role::Developer, true, [true, true, true, false]),
        (Role::Developer, false, [true, false, false, false]),
        (Role::AccessToReports, true, [false, false, false, false]),
    ] {
        let team = Team {
            role,
            provisioning,
            certificates: vec![certificate.clone()],
            users: vec![user.clone()],
            ..team(&["com.example.app"])
        };
        let api = Api::with_team(team, |_| {});
        for (path, seen) in ALL.into_iter().zip(seen) {
            let received = api.ask(&format!("{path}?limit=1"));
            if seen {
                assert_eq!(received.status(), 200, "{role:?} {path}");
                assert_eq!(received.json()["meta"]["paging"]["total"], 1);
            } else {
                let error = error(&received, 403, "FORBIDDEN_ERROR");
                assert_eq!(error["title"], "This request is forbidden for security reasons");
                assert_eq!(error["detail"], "The API key in use does not allow this request");
            }
        }
    }
}

#[test]
fn an_individual_key_sees_its_owners_apps_and_no_provisioning() {
    let all = ["com.example.app", "com.example.other"];
    let owner_apps = Some(vec!["com.example.other".to_owned()]);
    let limited = Team { owner_apps, ..team(&all) };

    let api = Api::with_team(limited.clone(), |account| account.issuer_id = None);
    let received = api.ask("/v1/apps?filter[bundleId]=com.example.app");
    assert!(values(&received, "bundleId").is_empty());
    let received = api.ask("/v1/apps");
    assert_eq!(values(&received, "bundleId"), ["com.example.other"]);
    assert_eq!(received.json()["meta"]["paging"]["total"], 1);
    error(&api.ask("/v1/certificates?limit=1"), 403, "FORBIDDEN_ERROR");
    error(&api.ask("/v1/bundleIds?limit=1"), 403, "FORBIDDEN_ERROR");

    let team_key = Api::with_team(limited, |_| {});
    assert_eq!(values(&team_key.ask("/v1/apps"), "bundleId"), all);
}

#[test]
fn a_missing_agreement_refuses_every_list() {
    let api = Api::with_team(Team { agreement_missing: true, ..team(&["com.example.app"]) }, |_| {});
    for path in ALL {
        let error = error(&api.ask(path), 403, "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED");
        assert_eq!(error["title"], "A required agreement is missing or has expired.");
    }
    assert_eq!(api.get("/v1/apps", "x.y.z").status(), 401);
}

#[test]
fn every_answer_says_how_many_requests_are_left_and_none_left_is_429() {
    let ask = |team: Team, path: &str, token: Option<&str>| {
        let api = Api::with_team(team, |_| {});
        api.get(path, token.unwrap_or(&api.token()))
    };
    let left = |requests_left| Team { requests_left, ..Team::default() };
    for (received, status, shown) in [
        (ask(Team::default(), "/v1/apps", None), 200, 3499),
        (ask(left(12), "/v1/apps", None), 200, 12),
        (ask(left(12), "/v1/apps?x=1", None), 400, 12),
        (ask(left(12), "/v1/apps", Some("x.y.z")), 401, 12),
        (ask(left(12), "/v1/nothing", None), 404, 12),
        (ask(left(0), "/v1/apps", None), 429, 0),
    ] {
        assert_eq!(received.status(), status);
        let limits = format!("user-hour-lim:3500;user-hour-rem:{shown};");
        assert_eq!(received.header("X-Rate-Limit"), Some(limits.as_str()));
    }
    error(&ask(left(0), "/v1/apps", None), 429, "RATE_LIMIT_EXCEEDED");
}

#[test]
fn a_portals_page_in_apples_place_has_none_of_apples_headers() {
    let api = Api::new(|account| account.behaviours = vec![Behaviour::Html]);
    let received = api.ask("/v1/apps");
    assert_eq!((received.status(), received.header("X-Rate-Limit")), (200, None));
}

#[test]
fn who_does_not_accept_json_gets_406_in_plain_text() {
    let api = Api::new(|_| {});
    let authorization = format!("Bearer {}", api.token());
    let url = format!("{}/v1/apps", api.base);
    for (accept, status) in [
        ("application/json", 200),
        ("text/html, application/*;q=0.8", 200),
        ("*/*", 200),
        ("text/html", 406),
        ("application/xml, text/plain", 406),
    ] {
        let received = get(&url, &[("Authorization", &authorization), ("Accept", accept)]);
        assert_eq!(received.status(), status, "{accept}");
        if status == 406 {
            assert_eq!(received.header("Content-Type"), Some("text/plain"));
        }
    }
}

#[test]
fn the_certificate_filter_is_exact_and_pages_lead_through_all_certificates() {
    let dates: Vec<_> = (1..=7).map(|day| format!("2027-01-0{day}T10:00:00.000+0000")).collect();
    let mut team = Team::default().with_distribution_certificates(dates.iter().map(String::as_str));
    for other in ["IOS_DISTRIBUTION", "DEVELOPMENT"] {
        let certificate_type = other.to_owned();
        team.certificates.push(SigningCertificate { certificate_type, ..SigningCertificate::default() });
    }
    let api = Api::with_team(team, |_| {});
    let query = "filter[certificateType]=DISTRIBUTION&fields[certificates]=expirationDate&limit=3";
    let mut next = Some(format!("{}/v1/certificates?{query}", api.base));
    let mut found = Vec::new();
    while let Some(url) = next {
        let received = get(&url, &[("Authorization", &format!("Bearer {}", api.token()))]);
        found.extend(values(&received, "expirationDate"));
        next = received.json()["links"]["next"].as_str().map(str::to_owned);
    }
    assert_eq!(found, dates);
    let both = api.ask("/v1/certificates?filter[certificateType]=DISTRIBUTION,IOS_DISTRIBUTION&limit=1");
    assert_eq!(both.json()["meta"]["paging"]["total"], 8);
    let unknown = api.ask("/v1/certificates?filter[certificateType]=DEVELOPER_ID_APPLICATION_G2");
    let error = error(&unknown, 400, "PARAMETER_ERROR.INVALID");
    assert!(
        error["detail"].as_str().unwrap().starts_with("'DEVELOPER_ID_APPLICATION_G2' is not a valid filter")
    );
}

#[test]
fn one_list_can_have_another_answer_while_the_others_are_normal() {
    let errors = [("FORBIDDEN_ERROR", "t", "d"), ("FORBIDDEN_ERROR.PLA_NOT_ACCEPTED", "t2", "d2")];
    let api = Api::with_team(
        Team::default().answering("v1/certificates", Behaviour::apple_errors(403, errors)).answering(
            "v1/users",
            Behaviour::answer(200, "text/html", "<p>").with_header("X-Rate-Limit", "x"),
        ),
        |account| account.behaviours = vec![Behaviour::Ok, Behaviour::json(503, &json!({}))],
    );
    let statuses =
        ["certificates", "certificates", "certificates", "apps"].map(|list| api.ask(&format!("/v1/{list}")));
    assert_eq!(statuses.each_ref().map(Received::status), [403, 503, 403, 200]);
    assert_eq!(statuses[2].json()["errors"][1]["code"], "FORBIDDEN_ERROR.PLA_NOT_ACCEPTED");
    let users = api.ask("/v1/users");
    assert_eq!((users.header("Content-Type"), users.header("X-Rate-Limit")), (Some("text/html"), Some("x")));
    assert_eq!(api.get("/v1/users", "x.y.z").status(), 401, "the token is checked first");
}
