use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use weir_fetch::Guarded;

use super::*;
use crate::limits::{KEYS_PAUSE, KEYS_TIME};
use crate::testing::{Client, Memory, PACKAGE, Provider, Secret, World, new_process, now};
use crate::{Facade, Settings};

fn bearer(provider: &Provider) -> Bearer {
    let settings = provider.settings();
    let guarded = Guarded::new(&settings.fetch_settings().unwrap()).unwrap();
    Bearer::new(settings, Arc::new(guarded)).unwrap()
}

async fn ask(bearer: &Bearer, authorization: &str) -> Result<(), Problem> {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())]);
    bearer.admit(&headers, &"acme".parse().unwrap()).await
}

async fn ask_with(bearer: &Bearer, token: &str) -> Result<(), String> {
    ask(bearer, &format!("Bearer {token}")).await.map_err(|problem| problem.detail)
}

/// Status, detail and challenge.
fn told(problem: &Problem) -> String {
    let challenge = problem.headers.iter().find(|(name, _)| *name == WWW_AUTHENTICATE).unwrap();
    format!("{} {} [{}]", problem.status.as_u16(), problem.detail, challenge.1.to_str().unwrap())
}

#[tokio::test]
async fn tokens_signed_with_rs256_and_es256_are_good_for_the_tenants_that_they_name() {
    let (rsa, ec) = (Secret::rsa(), Secret::ec());
    let encryption = json!({"kty": "RSA", "kid": "e", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"});
    let provider = Provider::with(vec![encryption, json!({"kty": "??"}), rsa.jwk("r"), ec.jwk("c")]).await;
    let site = bearer(&provider);
    for claims in [json!({}), json!({"tenants": "acme"}), json!({"aud": "weir"}), json!({"nbf": null})] {
        for (secret, kid) in [(&rsa, "r"), (&ec, "c")] {
            assert_eq!(ask_with(&site, &secret.token(kid, &provider.claims(&claims))).await, Ok(()), "{claims}");
        }
    }
    let nameless = ec.sign(&json!({"alg": "ES256"}), &provider.claims(&json!({})));
    assert_eq!(ask_with(&site, &nameless).await, Ok(()), "any key of the algorithm");
    assert_eq!(provider.asked(), 1, "keys are kept");
}

#[tokio::test]
async fn a_token_for_other_tenants_is_403_i9() {
    let secret = Secret::ec();
    let provider = Provider::with(vec![secret.jwk("c")]).await;
    let site = bearer(&provider);
    for tenants in [json!(["other"]), json!("acm"), json!(["ACME"]), json!(null), json!({"acme": true}), json!(1)] {
        let token = secret.token("c", &provider.claims(&json!({"tenants": tenants})));
        let problem = ask(&site, &format!("Bearer {token}")).await.unwrap_err();
        assert_eq!(
            told(&problem),
            "403 the token does not name the tenant `acme` in its claim `tenants` \
            [Bearer realm=\"weir\", error=\"insufficient_scope\"]"
        );
    }
}

#[tokio::test]
async fn no_token_and_what_is_none_are_401_with_a_challenge() {
    let provider = Provider::with(Vec::new()).await;
    let site = bearer(&provider);
    let mut tellings = vec![told(&site.admit(&HeaderMap::new(), &"acme".parse().unwrap()).await.unwrap_err())];
    for authorization in ["Basic YTpi", "Bearer", "Bearer a.b", "Bearer a.b.c"] {
        tellings.push(told(&ask(&site, authorization).await.unwrap_err()));
    }
    insta::assert_snapshot!(tellings.join("\n"), @r#"
    401 send a token: `Authorization: Bearer …` [Bearer realm="weir"]
    401 the token is not accepted: send it as `Authorization: Bearer …` [Bearer realm="weir", error="invalid_token"]
    401 the token is not accepted: send it as `Authorization: Bearer …` [Bearer realm="weir", error="invalid_token"]
    401 the token is not accepted: it cannot be read: InvalidToken [Bearer realm="weir", error="invalid_token"]
    401 the token is not accepted: it cannot be read: Base64 error: Invalid input length: 1 [Bearer realm="weir", error="invalid_token"]
    "#);
    assert_eq!(provider.asked(), 0, "nobody is asked for what cannot be a token");
}

#[tokio::test]
async fn a_token_with_a_wrong_claim_or_signature_is_401() {
    let (secret, other) = (Secret::rsa(), Secret::rsa());
    let provider = Provider::with(vec![secret.jwk("r")]).await;
    let site = bearer(&provider);
    let mut tellings = Vec::new();
    for claims in [
        json!({"exp": now() - 61}),
        json!({"exp": null}),
        json!({"nbf": now() + 90}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"aud": "account"}),
        json!({"aud": null}),
    ] {
        tellings.push(ask_with(&site, &secret.token("r", &provider.claims(&claims))).await.unwrap_err());
    }
    let claims = provider.claims(&json!({}));
    tellings.push(ask_with(&site, &other.token("r", &claims)).await.unwrap_err());
    let mut unsigned = BASE64.encode(json!({"alg": "none", "kid": "r"}).to_string());
    unsigned = format!("{unsigned}.{}.", BASE64.encode(claims.to_string()));
    tellings.push(ask_with(&site, &unsigned).await.unwrap_err());
    let by_the_public_key = secret.sign(&json!({"alg": "HS256", "kid": "r"}), &claims);
    tellings.push(ask_with(&site, &by_the_public_key).await.unwrap_err());
    let confused = secret.sign(&json!({"alg": "ES256", "kid": "r"}), &claims);
    tellings.push(ask_with(&site, &confused).await.unwrap_err());
    let tellings = tellings.join("\n").replace(&provider.issuer, "ISSUER");
    insta::assert_snapshot!(tellings, @"
    the token is not accepted: it has expired
    the token is not accepted: it has no exp
    the token is not accepted: it is not valid yet
    the token is not accepted: its iss is not `ISSUER`
    the token is not accepted: it has no iss
    the token is not accepted: its aud is not `weir`
    the token is not accepted: it has no aud
    the token is not accepted: its signature is wrong
    the token is not accepted: it cannot be read: JSON error: unknown variant `none`, expected one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA` at line 1 column 13
    the token is not accepted: it is signed with HS256; RS256 and ES256 are accepted
    the token is not accepted: the provider has no key that it is signed with
    ");
    for claims in [json!({"exp": now() - 50}), json!({"nbf": now() + 50})] {
        let token = secret.token("r", &provider.claims(&claims));
        assert_eq!(ask_with(&site, &token).await, Ok(()), "clocks differ by less than a minute");
    }
}

/// Clocks of the cache go on; the server is real.
async fn later(time: std::time::Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_new_key_works_at_once_and_unknown_ones_do_not_make_requests() {
    let (old, new) = (Secret::ec(), Secret::ec());
    let provider = Provider::with(vec![old.jwk("1")]).await;
    let site = bearer(&provider);
    let claims = provider.claims(&json!({}));
    assert_eq!(ask_with(&site, &old.token("1", &claims)).await, Ok(()));
    provider.set_keys(vec![new.jwk("2")]);
    later(KEYS_PAUSE).await;
    assert_eq!(ask_with(&site, &new.token("2", &claims)).await, Ok(()));
    assert_eq!(provider.asked(), 2);
    for kid in ["3", "4", "5", "1"] {
        assert!(ask_with(&site, &new.token(kid, &claims)).await.unwrap_err().contains("has no key"));
    }
    assert_eq!(provider.asked(), 2, "not before the pause is over");
    later(KEYS_PAUSE).await;
    assert!(ask_with(&site, &old.token("1", &claims)).await.is_err(), "withdrawn");
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn keys_are_asked_for_again_and_used_on_while_the_provider_is_away() {
    let secret = Secret::ec();
    let provider = Provider::with(vec![secret.jwk("1")]).await;
    let site = bearer(&provider);
    let token = secret.token("1", &provider.claims(&json!({})));
    assert_eq!(ask_with(&site, &token).await, Ok(()));
    provider.set_down(true);
    later(KEYS_TIME).await;
    assert_eq!(ask_with(&site, &token).await, Ok(()));
    provider.is_asked(2).await;

    let fresh = bearer(&provider);
    let problem = ask(&fresh, &format!("Bearer {token}")).await.unwrap_err();
    assert_eq!(problem.status, 503, "{}", problem.detail);
    provider.claim_to_be("https://evil.example");
    later(KEYS_PAUSE).await;
    let problem = ask(&fresh, &format!("Bearer {token}")).await.unwrap_err();
    assert!(problem.detail.contains("is of another issuer"), "{}", problem.detail);
}

#[tokio::test]
async fn nobody_whose_key_is_known_waits_for_a_slow_provider() {
    let (old, new) = (Secret::ec(), Secret::ec());
    let provider = Provider::with(vec![old.jwk("1")]).await;
    let site = bearer(&provider);
    let token = old.token("1", &provider.claims(&json!({})));
    assert_eq!(ask_with(&site, &token).await, Ok(()));
    let (answer, slow) = tokio::sync::oneshot::channel();
    provider.wait_for(slow);
    provider.set_keys(vec![new.jwk("2")]);
    later(KEYS_TIME).await;
    for _ in 0..100 {
        assert_eq!(ask_with(&site, &token).await, Ok(()));
        tokio::task::yield_now().await;
    }
    provider.is_asked(2).await;
    assert_eq!(ask_with(&site, &token).await, Ok(()));
    assert_eq!(provider.asked(), 2, "one asks for all");
    answer.send(()).unwrap();
    // Withdrawn as soon as the provider has said so.
    while ask_with(&site, &token).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn settings_that_cannot_work_are_told() {
    let provider = Provider::with(Vec::new()).await;
    let refused = |settings: OidcSettings| {
        let fetcher = Arc::new(Guarded::new(&FetchSettings::default()).unwrap());
        Bearer::new(settings, fetcher).err().unwrap().to_string()
    };
    let good = provider.settings();
    insta::assert_snapshot!(refused(OidcSettings { issuer: "id.example.org".to_owned(), ..good.clone() }), @"`id.example.org` is no URL of an OpenID Connect provider; write one like https://id.example.org/realms/eo");
    insta::assert_snapshot!(refused(OidcSettings { audience: String::new(), ..good.clone() }), @"the audience of the OpenID Connect provider is not stated");
    assert_eq!(good.fetch_settings().unwrap().allowed, ["127.0.0.1"]);
    assert_eq!(bearer(&provider).security_scheme()["scheme"], "bearer");
}

/// The whole façade behind a token, for `acme` and `other`.
fn guarded_site(provider: &Provider) -> Client {
    let memory = Memory::new(&["acme", "other"]);
    memory.put("acme", new_process("greet", PACKAGE), true);
    memory.put("other", new_process("secret", PACKAGE), true);
    let facade = Facade::new(memory as _, World::new(), Settings::default());
    Client::of(facade.with_bearer(bearer(provider)))
}

#[tokio::test]
async fn nothing_of_a_tenant_is_answered_without_a_token_that_names_it_i9() {
    let secret = Secret::ec();
    let provider = Provider::with(vec![secret.jwk("c")]).await;
    let site = guarded_site(&provider);
    let token = secret.token("c", &provider.claims(&json!({"tenants": ["acme", "missing"]})));
    let authorization = format!("Bearer {token}");
    let requests = [
        ("GET", ""),
        ("GET", "/api"),
        ("GET", "/processes"),
        ("GET", "/processes/greet/package"),
        ("GET", "/jobs"),
        ("POST", "/processes"),
        ("PUT", "/processes/greet"),
        ("DELETE", "/processes/greet"),
        ("POST", "/processes/greet/execution"),
        ("DELETE", "/jobs/a"),
        ("HEAD", "/processes"),
        ("GET", "/nothing"),
    ];
    for (method, path) in requests {
        for tenant in ["acme", "other", "missing"] {
            let path = format!("/{tenant}/ogc-api{path}");
            let answer = site.send(method, &path, &[], "").await;
            assert!(answer.status == 401 || path.ends_with("/nothing"), "{method} {path}: {}", answer.status);
        }
        let path = format!("/other/ogc-api{path}");
        let answer = site.send(method, &path, &[("authorization", &authorization)], "").await;
        assert!(answer.status == 403 || path.ends_with("/nothing"), "{method} {path}: {}", answer.status);
    }
    assert_eq!(site.send("GET", "/acme/temp/greet-a/x.log", &[], "").await.status, 401);
    let with = [("authorization", authorization.as_str()), ("accept", "application/json")];
    assert_eq!(site.send("GET", "/acme/ogc-api/processes/greet", &with, "").await.status, 200);
    assert_eq!(site.send("GET", "/missing/ogc-api/processes", &with, "").await.status, 404);
    let answer = site.send("GET", "/acme/ogc-api", &[], "").await;
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"weir\"");
}

/// Browsers ask without a token whether they may send one (Fetch standard, "CORS-preflight fetch").
#[tokio::test]
async fn a_script_of_an_allowed_page_gets_through_with_its_token() {
    let secret = Secret::ec();
    let provider = Provider::with(vec![secret.jwk("c")]).await;
    let settings = Settings { origins: "https://portal.example".parse().unwrap(), ..Settings::default() };
    let facade = Facade::new(Memory::acme() as _, World::new(), settings).with_bearer(bearer(&provider));
    let site = Client::of(facade);
    let (path, origin) = ("/acme/ogc-api/processes/greet/execution", ("origin", "https://portal.example"));
    let wanted = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    let preflight = site.send("OPTIONS", path, &[origin, wanted[0], wanted[1]], "").await;
    assert_eq!((preflight.status, preflight.body.len()), (204, 0));
    assert_eq!(preflight.header("access-control-allow-origin"), origin.1);
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    assert!(preflight.header("access-control-allow-headers").contains("Authorization"));
    let body = json!({"inputs": {"message": "a"}}).to_string();
    let authorization = format!("Bearer {}", secret.token("c", &provider.claims(&json!({}))));
    let request = [origin, ("content-type", "application/json"), ("prefer", "respond-async")];
    let without = site.send("POST", path, &request, body.clone()).await;
    // The page may read why not.
    assert_eq!((without.status, without.header("access-control-allow-origin")), (401, origin.1));
    let with = [&request[..], &[("authorization", &authorization)]].concat();
    let answer = site.send("POST", path, &with, body).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (201, origin.1));
}

#[tokio::test]
async fn of_whoever_is_not_let_in_no_body_is_waited_for() {
    let provider = Provider::with(vec![Secret::ec().jwk("c")]).await;
    let site = guarded_site(&provider);
    let body = || axum::body::Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    for (tenant, status) in [("acme", 401), ("missing", 401), ("..", 404)] {
        let path = format!("/{tenant}/ogc-api/processes");
        assert_eq!(site.send("POST", &path, &[("content-type", "application/cwl")], body()).await.status, status);
    }
}

#[tokio::test]
async fn the_definition_of_the_api_says_which_tokens_are_asked_for() {
    let secret = Secret::ec();
    let provider = Provider::with(vec![secret.jwk("c")]).await;
    let authorization = format!("Bearer {}", secret.token("c", &provider.claims(&json!({}))));
    let with = [("authorization", authorization.as_str())];
    let definition = guarded_site(&provider).send("GET", "/acme/ogc-api/api?f=json", &with, "").await.json();
    assert_eq!(definition["security"], json!([{"bearer": []}]));
    let scheme = definition["components"]["securitySchemes"]["bearer"]["description"].as_str().unwrap();
    assert!(scheme.contains(&provider.issuer) && scheme.contains("`tenants`"), "{scheme}");
}
