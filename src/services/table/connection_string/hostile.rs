//! Any text as a connection string: no panic, and no secret in anything that is shown.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use leadflow_core::testing::hostile::{config, soup, spoilt};

const KEY: &str = "Y2FuYXJ5Y2FuYXJ5";
const SIGNATURE: &str = "canarysignature";

const WORDS: [&str; 34] = [
    ";",
    ";",
    "=",
    "=",
    "\"",
    "'",
    " ",
    "AccountName=",
    "accountname",
    "AccountKey=",
    "ACCOUNTKEY",
    "SharedAccessSignature=",
    "TableEndpoint=",
    "EndpointSuffix=",
    "DefaultEndpointsProtocol=",
    "UseDevelopmentStorage=true",
    "https",
    "http",
    "contoso",
    "core.windows.net",
    "https://contoso.table.core.windows.net/",
    "http://127.0.0.1:10002/devstoreaccount1",
    "https://[::1]:1/a",
    "https://user@contoso.example/",
    "https://contoso.example/?sv=1",
    "contoso-secondary",
    "https://xn--zzz/",
    "file:///etc/passwd",
    "https:",
    "\u{202e}",
    "é",
    "%00",
    "#a",
    "?sv=1",
];

fn whole() -> Vec<String> {
    vec![
        format!(
            "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey={KEY};EndpointSuffix=core.windows.net"
        ),
        format!(
            "TableEndpoint=https://contoso.table.core.windows.net/;SharedAccessSignature=sv=2020&sig={SIGNATURE}"
        ),
        format!("AccountName=contoso;AccountKey={KEY};TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"),
    ]
}

/// Parts in any order, of any value; secrets where people put them.
fn parts() -> impl Strategy<Value = String> {
    let any =
        || prop_oneof![2 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => "\\PC{0,12}"];
    let secrets = vec![KEY.to_owned(), format!("sv=1&sig={SIGNATURE}"), format!("?sig={SIGNATURE}")];
    let addresses =
        ["u:canarysignature@h/", "h/?sv=1&sig=canarysignature", "h/a#canarysignature", "canarysignature@h"];
    let addresses = addresses.map(|address| format!("https://{address}")).to_vec();
    let name = |names: &[&'static str]| prop::sample::select(names.to_vec());
    let names = [
        "AccountName",
        "EndpointSuffix",
        "DefaultEndpointsProtocol",
        "UseDevelopmentStorage",
        "tableendpoint",
    ];
    let part = prop_oneof![
        (name(&names), any()),
        (
            name(&["AccountKey", "SharedAccessSignature", "sharedaccesssignature"]),
            prop::sample::select(secrets)
        ),
        (name(&["TableEndpoint"]), prop::sample::select(addresses)),
    ];
    vec(part, 0..6).prop_map(|parts| {
        parts.iter().map(|(name, value)| format!("{name}={value};")).collect::<Vec<_>>().concat()
    })
}

fn shows_no_secret(text: &str) {
    let shown = match Endpoint::parse(&SecretString::from(text)) {
        Err(error) => format!("{error} {error:?} {}", error.help()),
        // The account's name is what is there, and not a secret.
        Ok(endpoint) => {
            format!("{:?} {}", Endpoint { account: String::new(), ..endpoint.clone() }, endpoint.host())
        }
    };
    assert!(!shown.contains(KEY) && !shown.contains(SIGNATURE), "{shown}");
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn words_in_any_order(text in soup(&WORDS)) {
        shows_no_secret(&text);
    }

    #[test]
    fn parts_in_any_order(text in parts()) {
        shows_no_secret(&text);
    }

    #[test]
    fn a_spoilt_connection_string(bytes in spoilt(whole(), &WORDS)) {
        shows_no_secret(&String::from_utf8_lossy(&bytes));
    }
}
