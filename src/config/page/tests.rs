use std::path::Path;

use crate::config::tests::WHOLE;
use crate::config::{Level, parse};
use crate::flow::{Listen, PageSettings, PasswordHash, Role, SecretSource};

/// Of `correct horse battery`.
const HASH: &str = "$argon2id$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo";
const TOKEN: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn text(lines: &str) -> String {
    WHOLE.replacen("[connections", &format!("[settings.page]\n{lines}\n[connections"), 1)
}

fn page(lines: &str) -> PageSettings {
    let loaded = parse(Path::new("/etc/leadflow/flows.toml"), "flows.toml", &text(lines));
    let loaded = loaded.unwrap_or_else(|report| panic!("{lines}: {}", report.shown(false, 100)));
    let warnings: Vec<_> = loaded.warnings.iter().filter(|problem| problem.level == Level::Warning).collect();
    assert!(warnings.is_empty(), "{lines}: {warnings:?}");
    loaded.config.settings.page.clone().unwrap()
}

/// The messages and what is shown with them.
fn problems(lines: &str) -> (Vec<String>, String) {
    let report = match parse(Path::new("/etc/leadflow/flows.toml"), "flows.toml", &text(lines)) {
        Ok(loaded) => {
            return (loaded.warnings.iter().map(|problem| problem.message.clone()).collect(), String::new());
        }
        Err(report) => report,
    };
    let of = |problem: &crate::config::Problem| {
        format!("{} | {}", problem.message, problem.help.clone().unwrap_or_default())
    };
    (report.problems.iter().map(of).collect(), report.shown(false, 100))
}

#[test]
fn a_page_of_this_machine_needs_nothing() {
    let own = page("");
    assert_eq!(own.listen, Listen::Tcp(PageSettings::LISTEN));
    assert!(own.is_local() && own.users.is_empty() && own.tls.is_none() && own.proxy.is_none());
    assert_eq!(page("listen = \"[::1]:80\"").listen, Listen::Tcp("[::1]:80".parse().unwrap()));
    assert_eq!(page("listen = \"unix:page.sock\"").listen, Listen::Unix("/etc/leadflow/page.sock".into()));
    assert_eq!(page("listen = \"unix:/run/p\"").listen, Listen::Unix("/run/p".into()));
}

#[test]
fn every_key_becomes_a_value() {
    let page = page(&format!(
        "listen = \"0.0.0.0:443\"\nhosts = [\"Leads.Contoso.example\", \"10.0.0.1\"]\n\
         tls = {{ certificate = \"page.crt\", key = {{ credential = \"page-key\" }} }}\n\
         [settings.page.users.anna]\npassword = \"{HASH}\"\nrole = \"operate\"\n\
         [settings.page.users.\"ben@contoso.example\"]\npassword = {{ file = \"ben\" }}\nrole = \"view\"\n\
         [settings.page.tokens.grafana]\nhash = \"{TOKEN}\"\nrole = \"view\"\nuntil = \"2199-06-01\"\n\
         [settings.page.tokens.script]\nhash = \"{TOKEN}\"\nrole = \"operate\"\nuntil = 2199-06-01T08:00:00+02:00"
    ));
    assert_eq!(page.hosts, ["leads.contoso.example", "10.0.0.1"]);
    let tls = page.tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/leadflow/page.crt"));
    assert_eq!(tls.key, SecretSource::Credential("page-key".into()));
    assert_eq!(page.users["anna"].password, Some(PasswordHash::Here(HASH.into())));
    let at = PasswordHash::At(SecretSource::File("/etc/leadflow/ben".into()));
    assert_eq!(page.users["ben@contoso.example"].password, Some(at));
    assert_eq!(
        (page.users["anna"].role, page.users["ben@contoso.example"].role),
        (Role::Operate, Role::View)
    );
    let grafana = &page.tokens["grafana"];
    assert_eq!(grafana.hash[..2], [0xba, 0x78]);
    // Midnight in Seoul.
    assert_eq!(grafana.until, Some("2199-05-31T15:00:00Z".parse().unwrap()));
    assert_eq!(page.tokens["script"].until, Some("2199-06-01T06:00:00Z".parse().unwrap()));
}

#[test]
fn a_proxy_names_who_has_signed_in() {
    let proxy = "[settings.page.proxy]\nfrom = \"127.0.0.1\"\nuser_header = \"X-Forwarded-User\"\n";
    let anna = "[settings.page.users.anna]\nrole = \"operate\"";
    let found = page(&format!("{proxy}others = \"view\"\n{anna}"));
    let settings = found.proxy.unwrap();
    assert_eq!(settings.user_header.as_deref(), Some("x-forwarded-user"));
    assert_eq!((settings.others, settings.from), (Some(Role::View), vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(found.users["anna"].password, None);
    let (nobody, _) = problems(proxy);
    assert!(nobody[0].starts_with("nobody can sign in"), "{nobody:?}");
    page(&format!("listen = \"unix:page.sock\"\n[settings.page.proxy]\nuser_header = \"X-User\"\n{anna}"));
}

#[test]
fn what_is_wrong_with_listen_says_what_to_write() {
    for (listen, help) in [
        ("localhost:9000", "\"127.0.0.1:9000\""),
        (":9000", "\"127.0.0.1:9000\""),
        ("9000", "\"127.0.0.1:9000\""),
        ("10.0.0.1", "\"10.0.0.1:8930\""),
        ("::1", "\"[::1]:8930\""),
        ("[::1]", "\"[::1]:8930\""),
        ("http://127.0.0.1:8930", "only the address and the port"),
        ("/run/page.sock", "\"unix:/run/page.sock\""),
        ("leads.contoso.example:443", "names go into `hosts`"),
        ("leads", "an address and a port"),
        ("127.0.0.1:99999", "an address and a port"),
    ] {
        let (found, _) = problems(&format!("listen = \"{listen}\""));
        assert!(found.len() == 1 && found[0].contains(help), "{listen}: {found:?}");
    }
    let (long, _) = problems(&format!("listen = \"unix:/{}\"", "s".repeat(107)));
    assert!(long[0].contains("has 108 bytes"), "{long:?}");
    page(&format!("listen = \"unix:/{}\"", "s".repeat(106)));
    let (any, _) = problems("listen = \"127.0.0.1:0\"");
    assert!(any.iter().any(|message| message.starts_with("port 0")), "{any:?}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    for lines in [
        "[settings.page.users.anna]\npassword = \"canary-canary\"\nrole = \"view\"",
        "[settings.page.users]\nanna = \"canary-canary\"",
        "users = { anna = \"canary-canary\" }",
        "users.anna = \"canary-canary\"",
        "users = { anna = { password = \"canary-canary\", role = \"view\" } }",
        "[settings.page.tokens.grafana]\nhash = \"lf_canary\"\nrole = \"view\"",
        "[settings.page.tokens.grafana]\ntoken = \"lf_canary\"\nrole = \"view\"",
        "[settings.page.tokens]\ngrafana = \"lf_canary\"",
        "tls = { certificate = \"page.crt\", key = \"canary-canary\" }",
    ] {
        let (found, shown) = problems(lines);
        assert!(!found.is_empty() && shown.contains("**"), "{lines}: {shown}");
        assert!(!shown.contains("canary") && !format!("{found:?}").contains("canary"), "{lines}: {shown}");
    }
    let (found, _) = problems("[settings.page.users.anna]\npassword = \"canary-canary\"\nrole = \"view\"");
    assert!(found[0].contains("leadflow page password"), "{found:?}");
}
