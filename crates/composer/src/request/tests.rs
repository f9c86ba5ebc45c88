use super::*;

/// What `http` describes, in the words of the resource.
fn composer(http: &str) -> Result<Composer, String> {
    let http: Value = serde_json::from_str(http).expect("JSON");
    let texts =
        |field: &str| http.get(field).map(|texts| serde_json::from_value(texts.clone()).expect("texts by name"));
    let (headers, form) = (texts("headers").unwrap_or_default(), texts("form"));
    let of_user = |field| http["basicAuth"][field].as_str();
    let description = Description {
        field: "http",
        secrets_field: "http.secrets",
        url: http["url"].as_str().expect("a URL"),
        method: http["method"].as_str().map_or(Method::POST, |method| method.parse().expect("a method")),
        headers: &headers,
        basic_auth: of_user("username").zip(of_user("password")),
        json: http["json"].as_object(),
        form: form.as_ref(),
    };
    Composer::new(&description, &Client::new(), &secrets())
}

fn secrets() -> Secrets {
    Secrets::from([("user".to_owned(), "AC1".to_owned()), ("key".to_owned(), "s3cret".to_owned())])
}

fn composed(http: &str, message: &SmsRequestedV1) -> Request {
    let composer = composer(http).expect("usable");
    composer.compose(&Client::new(), message, &secrets()).expect("a request")
}

fn body(request: &Request) -> &str {
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    std::str::from_utf8(body).expect("text")
}

#[track_caller]
fn check_refused(http: &str, expected: &str) {
    let error = composer(http).expect_err(http);
    assert!(error.starts_with(expected), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_form_is_encoded_whatever_the_text_holds() {
    let message = SmsRequestedV1 { text: "a&b=c 🎈".to_owned(), ..sample() };
    let request =
        composed(r#"{"url":"https://sms.example/","form":{"Body":"{{ text }}","To":"{{ recipient }}"}}"#, &message);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(body(&request), "Body=a%26b%3Dc+%F0%9F%8E%88&To=%2B15550101");
}

#[test]
fn texts_anywhere_in_the_json_are_templates_and_whatever_else_is_there_stays() {
    let message = SmsRequestedV1 { text: "a\"b\n{}".to_owned(), ..sample() };
    let http = r#"{"url":"https://sms.example/","method":"PUT","json":{
        "n":1,"to":["{{ recipient }}",{"deep":"{{ attempt }}"}],"text":"{{ text }}","none":null,"yes":true
    }}"#;
    let request = composed(http, &message);
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.headers()["content-type"], "application/json");
    let expected = r#"{"n":1,"none":null,"text":"a\"b\n{}","to":["+15550101",{"deep":"1"}],"yes":true}"#;
    assert_eq!(body(&request), expected);
}

#[test]
fn credentials_travel_in_headers_that_are_never_printed() {
    let http = r#"{"url":"https://sms.example/{{ secrets.user }}","headers":{"X-Key":"{{ secrets.key }}"},
        "basicAuth":{"username":"{{ secrets.user }}","password":"{{ secrets.key }}"}}"#;
    let request = composed(http, &sample());
    assert_eq!(request.url().as_str(), "https://sms.example/AC1");
    assert_eq!(request.headers()["x-key"], "s3cret");
    assert_eq!(request.headers()["authorization"], "Basic QUMxOnMzY3JldA==");
    assert!(request.headers().values().all(HeaderValue::is_sensitive));
    assert!(request.body().is_none());
}

#[test]
fn a_url_can_carry_everything() {
    let http =
        r#"{"url":"https://sms.example/?to={{ recipient | urlencode }}&text={{ text | urlencode }}","method":"GET"}"#;
    let request = composed(http, &SmsRequestedV1 { text: "a&b".to_owned(), ..sample() });
    assert_eq!(request.method(), "GET");
    assert_eq!(request.url().as_str(), "https://sms.example/?to=%2B15550101&text=a%26b");
}

#[test]
fn a_mistake_is_an_error_at_start_that_names_its_field() {
    let example = |field: &str| format!(r#"{{"url":"https://sms.example/",{field}}}"#);
    check_refused(
        &example(r#""headers":{"Authorization":"Bearer {{ secrets.token }}"}"#),
        "http.headers.Authorization: ",
    );
    check_refused(&example(r#""headers":{"a b":""}"#), "http.headers.a b: \"a b\" is no name of a header");
    check_refused(
        &example(r#""headers":{"Content-Length":"1"}"#),
        "http.headers.Content-Length: this header cannot be set",
    );
    check_refused(&example(r#""headers":{"X":"{{ secrets.key }}\nx"}"#), "http.headers.X: it holds characters");
    check_refused(
        &example(r#""basicAuth":{"username":"a:b","password":""}"#),
        "http.basicAuth.username: a user cannot",
    );
    check_refused(
        &example(r#""basicAuth":{"username":"","password":"{{ x }}"}"#),
        "http.basicAuth.password: there is no",
    );
    check_refused(&example(r#""form":{"To":"{{ to }}"}"#), "http.form.To: there is no variable \"to\"");
    check_refused(&example(r#""json":{"to":[{"number":"{{ to }}"}]}"#), "http.json.to[0].number: there is no variable");
    check_refused(r#"{"url":"{{ recipient }}"}"#, "http.url: ");
    check_refused(r#"{"url":"ftp://sms.example/"}"#, "http.url: not an http or https URL");
}
