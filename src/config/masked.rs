//! flows.toml as it may be shown: with every literal secret starred out, for somebody may have
//! written one there.

use std::ops::Range;

/// Words in the names of keys whose values are secrets.
const SECRET_WORDS: [&str; 8] =
    ["password", "passwd", "secret", "connection_string", "key", "sas", "token", "hash"];
/// Tables of `[settings.page]` of which somebody may take the names for keys of passwords and tokens.
const PEOPLE: [&str; 2] = ["users", "tokens"];
/// What comes before a secret within a value.
const SECRET_MARKS: [&str; 4] = ["accountkey=", "sharedaccesssignature=", "sig=", "password="];
/// Keys that say where a secret lies.
const PLACES: [&str; 3] = ["env", "file", "credential"];

/// The text with every literal secret starred out, byte for byte, so that places stay where they
/// are. It goes by the text alone, since a broken file has no values, and rather stars out too much.
pub(super) fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut done = 0;
    while let Some(word) = next_word(text, done) {
        done = word.end;
        let is_key_of_secret = is_secret(&text[word.clone()]) && is_key(text, word.start);
        if is_key_of_secret || is_people(text, &word) {
            done = star_after_key(&mut bytes, text, &word).max(done);
        }
    }
    let lower = text.to_ascii_lowercase();
    for mark in SECRET_MARKS {
        let mut done = 0;
        while let Some(at) = lower[done..].find(mark) {
            let start = done + at + mark.len();
            let length =
                text[start..].find(|c: char| c.is_whitespace() || [';', '&', '"', '\''].contains(&c));
            done = length.map_or(text.len(), |length| start + length);
            star(&mut bytes, start..done);
        }
    }
    star_users(&mut bytes, text);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Stars out who signs in by a URL, and with what: all between `://` and the last `@`.
fn star_users(bytes: &mut [u8], text: &str) {
    for (at, mark) in text.match_indices("://") {
        let rest = &text[at + mark.len()..];
        let end = rest.find(|c: char| c.is_whitespace() || ['"', '\''].contains(&c)).unwrap_or(rest.len());
        if let Some(user) = rest[..end].rfind('@') {
            let start = at + mark.len();
            star(bytes, start..start + user);
        }
    }
}

/// The next run of signs that a bare key is made of.
fn next_word(text: &str, from: usize) -> Option<Range<usize>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let start = from + text[from..].find(is_part)?;
    let length = text[start..].find(|c| !is_part(c)).unwrap_or(text.len() - start);
    Some(start..start + length)
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_word =
        |word: &str| key.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    SECRET_WORDS.into_iter().any(is_word) || key.starts_with("pass")
}

/// Whether a word that begins here can be a key: it begins a line, an inline table or a part of a
/// dotted key, or a value follows.
fn is_key(text: &str, start: usize) -> bool {
    let before = text[..start].trim_end_matches([' ', '\t', '"', '\'']);
    let follows =
        text[start..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    before.is_empty()
        || before.ends_with(['\n', '\r', '{', ',', '.', '['])
        || follows.trim_start_matches(['"', '\'', ' ', '\t']).starts_with('=')
}

/// Whether the word is one of [`PEOPLE`], and followed by what may be a secret instead of the name of a table.
fn is_people(text: &str, word: &Range<usize>) -> bool {
    if !PEOPLE.contains(&&text[word.clone()]) {
        return false;
    }
    let before = text[..word.start].trim_end_matches([' ', '\t', '"', '\'']);
    let after = text[word.end..].trim_start_matches(['"', '\'', ' ', '\t']);
    let is_begun = before.is_empty() || before.ends_with(['\n', '\r', '{', ',']);
    let has_value = text[word.end..line_end(text, word.end)].contains('=');
    match after.chars().next() {
        Some(']') => before.ends_with("page."),
        Some('.') => has_value && (is_begun || before.ends_with("page.")),
        Some('=') => is_begun || before.ends_with("page."),
        _ => false,
    }
}

/// Stars out what belongs to the key; returns where that ends.
fn star_after_key(bytes: &mut [u8], text: &str, word: &Range<usize>) -> usize {
    let after = text[word.end..].trim_start_matches(['"', '\'']).trim_start();
    let at = text.len() - after.len();
    let line = line_end(text, word.end);
    if after.starts_with('=') {
        return star_value(bytes, text, at + 1);
    }
    if after.starts_with('.') {
        // `password.env = "NAME"`.
        return match text[at..line].find('=') {
            Some(sign) if is_place(&text[at..at + sign]) => line,
            Some(sign) => star_value(bytes, text, at + sign + 1),
            None => {
                star(bytes, at + 1..line);
                line
            }
        };
    }
    if after.starts_with(']') {
        // A table of that name, up to the next one.
        let end = text[at..].find("\n[").map_or(text.len(), |length| at + length);
        return star_values(bytes, text, at..end);
    }
    // The `=` is missing.
    star(bytes, word.end..line);
    line
}

/// Stars out a value that begins at `from`: a text, a list, an inline table but for where it says
/// the secret lies, or whatever else is on the line. Returns where it ends.
fn star_value(bytes: &mut [u8], text: &str, from: usize) -> usize {
    let value = text[from..].trim_start_matches([' ', '\t']);
    // A text on the next line.
    let value = if value.trim_start().starts_with(['"', '\'']) { value.trim_start() } else { value };
    let start = text.len() - value.len();
    let line = line_end(text, start);
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => star_text(bytes, text, start, quote),
        Some('{') => {
            let end = closed(text, start, '}');
            star_values(bytes, text, start..end)
        }
        Some('[') => {
            let end = closed(text, start, ']');
            star(bytes, start + 1..end);
            end
        }
        _ => {
            star(bytes, start..line);
            line
        }
    }
}

/// Stars out all that is within the range, but for keys, and for values whose key is one of
/// [`PLACES`].
fn star_values(bytes: &mut [u8], text: &str, range: Range<usize>) -> usize {
    let between = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | ']');
    let mut at = range.start;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(between).len();
        if at >= range.end {
            return at;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let key_end = quoted_end(text, at)
            .unwrap_or_else(|| text[at..].find(|c| !is_part(c)).map_or(text.len(), |length| at + length));
        let value = text[key_end..].trim_start_matches([' ', '\t']).strip_prefix('=').map(str::trim_start);
        let line = line_end(text, at);
        at = match value {
            Some(value) if value.starts_with('{') => text.len() - value.len(),
            Some(value) if is_place(&text[..key_end]) => {
                let start = text.len() - value.len();
                quoted_end(text, start).unwrap_or_else(|| line_end(text, start))
            }
            Some(_) => {
                let sign = key_end + text[key_end..].find('=').unwrap_or_default();
                star_value(bytes, text, sign + 1).max(sign + 1)
            }
            None => {
                star(bytes, at..line);
                line
            }
        };
    }
}

/// Behind the quote that closes the text which begins at `from`, if one does.
fn quoted_end(text: &str, from: usize) -> Option<usize> {
    let quote = text[from..].chars().next().filter(|c| ['"', '\''].contains(c))?;
    let line = line_end(text, from);
    text[from + 1..line].find(quote).map(|length| from + 1 + length + 1)
}

fn star_text(bytes: &mut [u8], text: &str, start: usize, quote: char) -> usize {
    let fence: String = text[start..].chars().take_while(|c| *c == quote).take(3).collect();
    let is_long = fence.len() == 3;
    let fence = if is_long { fence } else { quote.to_string() };
    let inner = start + fence.len();
    let line = line_end(text, inner);
    // Where the closing quote is missing, it may be on the next line.
    let end = if is_long { text.len() } else { line_end(text, (line + 1).min(text.len())) };
    let mut rest = inner;
    while let Some(at) = text[rest..end].find(&fence) {
        if quote == '\'' || !is_escaped(&text[inner..rest + at]) {
            star(bytes, inner..rest + at);
            let after = rest + at + fence.len();
            // The next line may have a key of its own.
            if !is_long && after > line {
                return line;
            }
            // A quote within the secret ends the text too early, and a list may have lost its bracket.
            let follows = text[after..].trim_start_matches([' ', '\t', '\r']);
            let is_list =
                follows.strip_prefix(',').is_some_and(|rest| rest.trim_start().starts_with(['"', '\'']));
            if follows.is_empty() || follows.starts_with(['\n', ',', '}', ']', '#']) && !is_list {
                return after;
            }
            let end = line_end(text, after);
            star(bytes, after..end);
            return end;
        }
        rest += at + 1;
    }
    let end = if is_long { end } else { line };
    star(bytes, inner..end);
    end
}

/// Where the bracket is closed that is at `start`, and not before the end of its line; a table
/// that begins before means that it is not closed at all.
fn closed(text: &str, start: usize, sign: char) -> usize {
    let line = line_end(text, start);
    let table = text[start..].find("\n[").map_or(text.len(), |length| start + length);
    match text[start..].find(sign).map(|length| start + length) {
        Some(end) if end < table => line_end(text, end),
        _ => line,
    }
}

fn is_place(before: &str) -> bool {
    let key = before.trim_end().trim_end_matches(['"', '\'']);
    let name = key.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    PLACES.contains(&&key[name.len()..])
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |length| from + length)
}

/// Whether what comes after the text is escaped: an odd number of backslashes.
fn is_escaped(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn star(bytes: &mut [u8], range: Range<usize>) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' && *byte != b'\r' {
            *byte = b'*';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_secrets_are_starred_out_and_places_stay() {
        for (text, expected) in [
            ("password = \"s3 ü\"\nx = 1", "password = \"*****\"\nx = 1"),
            ("x = { password = 's3' }", "x = { password = '**' }"),
            ("a = \"AccountName=c;AccountKey=a2V5==;E=1\"", "a = \"AccountName=c;AccountKey=******;E=1\""),
            ("password = { env = \"MAIL\" }", "password = { env = \"MAIL\" }"),
            ("\"sas\" = \"sv=1&sig=a\"", "\"sas\" = \"**********\""),
            ("connection_string = \"\"\"a\nb\"\"\"", "connection_string = \"\"\"*\n*\"\"\""),
            (r#"password = "ab\"hunter2" # x"#, r#"password = "***********" # x"#),
            ("account_key = \"hunter2\"", "account_key = \"*******\""),
            ("passphrase = hunter2 # x", "passphrase = ***********"),
            ("password = { value = \"s3\", env = \"A\" }", "password = { value = \"**\", env = \"A\" }"),
            ("password = \"s3", "password = \"**"),
            ("password =\n\"s3\"", "password =\n\"**\""),
            ("password = \"\ns3\"", "password = \"\n**\""),
            ("password \"s3\"", "password*****"),
            ("password . \"s3\"", "password .*****"),
            ("x = { password =} \"s3\" }", "x = { password =********"),
            ("sas = { s3\" }\nx = 1", "sas = { *****\nx = 1"),
            ("password = \"s3\"s4\" # x", "password = \"**\"*******"),
            ("password.value = \"s3\"", "password.value = \"**\""),
            ("password.env = \"MAIL\"", "password.env = \"MAIL\""),
            ("password = [\"s3\",\n\"s4\"]\nx = 1", "password = [*****\n*****\nx = 1"),
            ("password = {\n  value = \"s3\" }", "password = {\n  value = \"**\" }"),
            ("[a.password]\nvalue = \"s3\"\n[b]\nx = \"1\"", "[a.password]\nvalue = \"**\"\n[b]\nx = \"1\""),
            ("subject = \"the key of it\"", "subject = \"the key of it\""),
            ("url = \"postgres://a:s3@b/c\"", "url = \"postgres://****@b/c\""),
            ("hash = \"lf_s3\"\nrole = \"view\"", "hash = \"*****\"\nrole = \"view\""),
            ("[settings.page.users]\nana = \"s3\"\n[b]", "[settings.page.users]\nana = \"**\"\n[b]"),
            ("users = { ana = \"s3\" }", "users = { ana = \"**\" }"),
            ("users.ana = \"s3\"", "users.ana = \"**\""),
            ("page.tokens.ci = \"s3\"", "page.tokens.ci = \"**\""),
            ("users.ana.password.env = \"ANA\"", "users.ana.password.env = \"ANA\""),
            ("[settings.page.users.ana]\nrole = \"view\"", "[settings.page.users.ana]\nrole = \"view\""),
            ("select = [\"users\"]\nx = \"1\"", "select = [\"users\"]\nx = \"1\""),
            ("heartbeat_url = \"https://hc.example/a\"", "heartbeat_url = \"https://hc.example/a\""),
        ] {
            assert_eq!(masked(text), expected);
            assert_eq!(masked(text).len(), text.len());
        }
    }
}
