use secrecy::SecretString;

use super::*;

/// Signs that do something, each of another kind.
const SIGNS: [&str; 18] = [
    "\u{1b}[31m",
    "\u{1b}]0;title\u{7}",
    "\u{9b}2J",
    "\u{9d}8;;x\u{9c}",
    "\0",
    "\r",
    "\u{8}",
    "\u{7f}",
    "\n",
    "\r\n",
    "\u{b}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
];

#[test]
fn a_line_is_one_line_and_does_nothing() {
    for sign in SIGNS {
        let text = format!("a{sign}b");
        for shown in [line(&text, 100), code(&text).unwrap_or_default().to_owned()] {
            assert!(!shown.contains(signs::does_something), "{shown:?}");
        }
        assert!(!lines(&text).contains(|c| c != '\n' && signs::does_something(c)), "{text:?}");
        let shown = json(Value::String(text.clone()), true);
        assert!(!shown.contains(signs::does_something), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text, "JSON says the same");
        assert_eq!(of_same_length(&text).len(), text.len());
    }
    assert_eq!(line("one\r\ntwo\u{1b}[31m  three\n", 100), "one two [31m  three");
    assert_eq!(line("새로운 잠재 고객! (3) Zoë — 👩🏽‍💻", 100), "새로운 잠재 고객! (3) Zoë — 👩🏽💻");
    let seen = "aé…😀 \n\t";
    assert_eq!(of_same_length(seen), seen);
    assert_eq!(of_same_length("\u{7f}\u{85}\u{202e}\u{e0041}"), " ·\u{fffd}\u{1f7a9}");
    assert_eq!(lines("a\tb\r\nc\rd"), "a\tb\nc d");
}

#[test]
fn a_line_has_an_end() {
    assert_eq!(line("abcdef", 6), "abcdef");
    assert_eq!(line("abcdefg", 6), "abcde…");
    assert_eq!(line("abc def", 4), "abc…");
    assert_eq!(line(&"\0".repeat(10_000), 6), "…");
    assert!(line(&"가".repeat(10 << 20), 300).len() < 1_000);
}

#[test]
fn only_what_looks_like_a_code_is_one() {
    for good in ["TableNotFound", "5.7.1", "Request_ResourceNotFound", "mail-box"] {
        assert_eq!(code(good), Some(good));
    }
    for wrong in ["", "/leads?sig=abc", "a b", "a\nb", "é", "<b>", &"a".repeat(65)] {
        assert_eq!(code(wrong), None, "{wrong}");
    }
    know(&SecretString::from("S3cretThatLooksLikeACode"), Kind::Kept);
    assert_eq!(code("S3cretThatLooksLikeACode"), None);
}

const SECRET: &str = "p4ss/w+rd=\"&<ü>~%41\\q";

/// Ways in which a server repeats it.
fn ways(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let twice = percent.replace('%', "%25");
    let of_plain = BASE64_STANDARD.encode(format!("\0leads\0{secret}"));
    let of_bearer =
        BASE64_STANDARD.encode(format!("user=leads@x.example\u{1}auth=Bearer {secret}\u{1}\u{1}"));
    let entities =
        secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('+', "&#x2B;");
    let units: String =
        secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<Vec<_>>().concat();
    let mut ways = vec![
        secret.to_owned(),
        secret.to_uppercase().replace('Ü', "ü"),
        percent,
        twice,
        entities,
        units,
        serde_json::to_string(secret).unwrap(),
        format!("{secret:?}"),
        secret.escape_unicode().to_string(),
        BASE64_URL_SAFE_NO_PAD.encode(format!("x{secret}")),
        BASE64_STANDARD.encode(format!("leads:{secret}")),
        of_plain.to_uppercase(),
    ];
    for broken in [secret, &of_plain, &of_bearer] {
        let middle = broken.floor_char_boundary(broken.len() / 2);
        for between in ["\r\n", " ", "\u{200b}", "\\n", "\t\0"] {
            ways.push(format!("{}{between}{}", &broken[..middle], &broken[middle..]));
        }
    }
    ways.extend([of_plain, of_bearer]);
    ways
}

#[test]
fn a_line_that_is_cut_does_not_end_with_the_start_of_a_secret() {
    know_text("Cutt1ngGoesThroughThis0ne", Kind::Kept);
    // Ten characters are wanted, so 160 bytes are looked at: signs that vanish, and seven of the secret.
    let text = format!("{}Cutt1ngGoesThroughThis0ne", "\u{200b}".repeat(51));
    assert_eq!(line(&text, 10), "…");
}

#[test]
fn a_secret_is_taken_out_however_it_is_written() {
    know_text(SECRET, Kind::Kept);
    for way in ways(SECRET) {
        let text = format!("535 5.7.8 you sent ({way}) to us");
        let shown = without_secrets(&text);
        assert!(shown.starts_with("535 5.7.8 you sent (") && shown.ends_with(") to us"), "{text} is {shown}");
        assert!(shown.contains('…') && shown.len() < 110, "{text} is {shown}");
        for piece in ["p4ss", "w+rd", "41", "cDRzcy93", "y93K3Jk"] {
            assert!(!shown.contains(piece), "{piece} is in {shown}");
        }
        let mut value = serde_json::json!({ &way: [way.clone(), 1], "b": { "c": way } });
        value_without_secrets(&mut value);
        assert!(value.to_string().len() < 250, "{value}");
    }
}

#[test]
fn pieces_of_a_long_secret_are_taken_out_too() {
    let token = format!(
        "canary.{}",
        (0..400).map(|n| format!("{:x}", n * 7919 % 65_521)).collect::<Vec<_>>().concat()
    );
    know_text(&token, Kind::Token);
    for length in [24, 76, 400, token.len() - 8] {
        for start in [0, 7, token.len() - length] {
            let shown = line(&format!("535-{}", &token[start..start + length]), 4_000);
            assert_eq!(shown, "535-…", "{start} {length}");
        }
    }
}

#[test]
fn twelve_signs_of_a_secret_are_known_wherever_they_stand_in_it() {
    let secret = "Qm7x-Tz4w_Kp9v-Hd2s_Lr8n-Gb5c_Jf3y-Wq6t_Xn1k-Vh0g";
    know_text(secret, Kind::Kept);
    for start in 0..=secret.len() - 12 {
        assert_eq!(without_secrets(&secret[start..start + 12]), "…", "from {start} on");
    }
}

#[test]
fn short_secrets_are_words_of_their_own() {
    know_text("zq9x7", Kind::Kept);
    know_text("qx7zkw", Kind::Kept);
    know_whole("AHNhbGVzAHpxOXg3", Kind::Kept);
    for (text, expected) in [
        ("535 password zq9x7 is wrong", "535 password … is wrong"),
        ("535 'zq9x7'", "535 '…'"),
        (
            "marketplace-zq9x7 for zq9x7@contoso.example: zq9x7to",
            "marketplace-zq9x7 for zq9x7@contoso.example: zq9x7to",
        ),
        (
            "of six signs it is found in a word: marketplace-qx7zkwto",
            "of six signs it is found in a word: marketplace-…to",
        ),
        ("AUTH PLAIN AHNhbGVzAHpxOXg3", "AUTH PLAIN …"),
        ("AUTH LOGIN enE5eDc=", "AUTH LOGIN …"),
    ] {
        assert_eq!(without_secrets(text), expected);
    }
}

#[test]
fn secrets_nobody_has_read_are_known_by_what_stands_before_them() {
    for (text, expected) in [
        ("GET /leads?sv=1&sig=aBc%2Fd%3D&sp=r HTTP/1.1", "GET /leads?sv=1&sig=…&sp=r HTTP/1.1"),
        ("sig%3DaBc%252Fd%26sp=r", "sig%3D…%26sp=r"),
        ("AccountName=c;ACCOUNTKEY=a2V5==;E=1", "AccountName=c;ACCOUNTKEY=…;E=1"),
        ("authorization: SharedKey contoso:a2V5a2V5=, x", "authorization: SharedKey …, x"),
        ("\"authorization\": \"SharedKeyLite c:a2V5\"", "\"authorization\": \"SharedKeyLite …\""),
        ("Authorization: Bearer abcdefgh12345678.x-y_z", "Authorization: Bearer …"),
        ("Bearer authorization_uri=https://login.example", "Bearer authorization_uri=https://login.example"),
        (
            "{\"access_token\":\"abc.def\",\"expires_in\":3599}",
            "{\"access_token\":\"…\",\"expires_in\":3599}",
        ),
        ("client_id=1&client_secret=s~3&scope=x", "client_id=1&client_secret=…&scope=x"),
        ("is eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.e30.c2ln one?", "is … one?"),
        ("config=1; design=2; resig=3; a password: no", "config=1; design=2; resig=3; a password: no"),
        ("sign in by Bearer", "sign in by Bearer"),
        ("too short: Bearer abc1234", "too short: Bearer abc1234"),
        ("?sig=&sv=1, and the pwd= is empty", "?sig=&sv=1, and the pwd= is empty"),
        ("too short for a token: eyJhbGciOiJIUzI1", "too short for a token: eyJhbGciOiJIUzI1"),
        (
            "login = { username = \"a\", password = { file = \"b\" } }",
            "login = { username = \"a\", password = { file = \"b\" } }",
        ),
        (
            "basic authentication is disabled; a bearer of 12345",
            "basic authentication is disabled; a bearer of 12345",
        ),
    ] {
        assert_eq!(without_secrets(text), expected);
    }
}

#[test]
fn a_row_keeps_its_words() {
    know_text("contoso-1", Kind::Kept);
    know_text("a-long-s3cret-of-a-row", Kind::Kept);
    let of_row = |text: &'static str| of_row(text.into());
    assert_eq!(of_row("Contoso-1, password=x, sig=abc, a-long-s3cret"), "Contoso-1, password=x, sig=abc, …");
    know_whole("BHdob2xl-and-no-piece-of-it", Kind::Kept);
    assert_eq!(of_row("BHdob2xl-and-no-piece"), "BHdob2xl-and-no-piece");
    assert_eq!(of_row("a BHDOB2XL-and-no-piece-of-it"), "a …");
    assert_eq!(
        [of_row("a-long-s3cre"), of_row("a-long-s3cr")],
        ["…", "a-long-s3cr"],
        "twelve signs are a piece"
    );
    assert_eq!(of_row("a-long-s3cret-of-a-row and A-LONG-S3CRET-OF-A-ROW"), "… and …");
}
