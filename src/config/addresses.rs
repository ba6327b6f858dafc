//! Mail addresses in flows.toml: with names of any kind, several in one text or a list.

use std::ops::Range;

use lettre::Address;
use lettre::message::Mailbox as ParsedMailbox;

use super::reader::Section;
use crate::flow::Mailbox;

/// Characters of a name before an address: with it, the address stays on one line of a mail.
const LONGEST_NAME: usize = 200;

impl Section<'_> {
    /// Addresses: a list of texts, or one text with `;` between them.
    pub(super) fn addresses(&self, key: &'static str) -> Vec<Mailbox> {
        let mut found: Vec<Mailbox> = Vec::new();
        let texts = self.texts(key);
        // A quoted name may hold a `;`, and in a list nothing needs to be parted.
        let separator = if self.is_list(key) { '\n' } else { ';' };
        let parts = |text: &str| text.split(separator).map(str::trim).filter(|part| !part.is_empty()).count();
        if !texts.is_empty() && texts.iter().all(|text| parts(text.get_ref()) == 0) {
            self.problems.error(
                texts[0].span(),
                format!("`{key}` contains no address"),
                "write an address, or remove it",
            );
        }
        for text in texts {
            for part in text.get_ref().split(separator).map(str::trim).filter(|part| !part.is_empty()) {
                let Some(mailbox) = self.mailbox(part, text.span()) else { continue };
                if found.iter().any(|other| other.address == mailbox.address) {
                    let message = format!("`{key}` contains {} twice", mailbox.address);
                    self.problems.warn(text.span(), message, "remove one of them; only one copy is sent");
                } else {
                    found.push(mailbox);
                }
            }
        }
        found
    }

    /// One address.
    pub(super) fn address(&self, key: &'static str) -> Option<Mailbox> {
        let text = self.text(key)?;
        self.mailbox(text.get_ref().trim(), text.span())
    }

    fn mailbox(&self, text: &str, span: Range<usize>) -> Option<Mailbox> {
        match mailbox(text) {
            Ok(mailbox) => Some(mailbox),
            Err((message, help)) => {
                self.problems.error(span, message, help);
                None
            }
        }
    }
}

type Wrong = (String, String);

fn mailbox(text: &str) -> Result<Mailbox, Wrong> {
    // The mail builder panics on line breaks in a name.
    if text.chars().any(char::is_control) {
        return Err(("an address contains a control character".to_owned(), "remove it".to_owned()));
    }
    let ascii = in_ascii(text);
    let parsed = ascii.parse().ok().or_else(|| with_any_name(&ascii));
    let Some(mailbox): Option<ParsedMailbox> = parsed else {
        return Err((format!("`{text}` is not a valid mail address"), remedy(text)));
    };
    let ParsedMailbox { name, email } = mailbox;
    let address = email.to_string();
    if !address.is_ascii() {
        let message = format!("`{text}` has characters before the @ that not every mail server accepts");
        return Err((message, "use an address in ASCII".to_owned()));
    }
    let length = name.as_ref().map_or(0, |name| name.chars().count());
    if length > LONGEST_NAME {
        let message = format!("the name before {address} has {length} characters");
        return Err((message, format!("use at most {LONGEST_NAME}")));
    }
    Ok(Mailbox { name, address })
}

/// The address of one recipient as a person types it, alone or with a name before it.
pub fn address_of(text: &str) -> Option<String> {
    Some(mailbox(text.trim()).ok()?.address)
}

/// `(주)콘토소 <sales@contoso.example>`: a name with signs that want quotes in a mail's head, which it gets there.
fn with_any_name(text: &str) -> Option<ParsedMailbox> {
    let (name, address) = text.strip_suffix('>')?.split_once('<')?;
    let name = name.trim();
    if name.contains(['@', '"', '>']) {
        return None;
    }
    Some(ParsedMailbox::new(Some(name.to_owned()), address.trim().parse().ok()?))
}

fn remedy(text: &str) -> String {
    let is_address = |word: &str| word.parse::<Address>().is_ok();
    let parts = text.split([',', ' ', '<', '>']).map(str::trim);
    let words: Vec<&str> = parts.filter(|word| !word.is_empty()).collect();
    let addresses = words.iter().filter(|word| is_address(word)).count();
    let one = match words.iter().find(|word| is_address(word)) {
        Some(address) if addresses == 1 => address,
        _ => "sales@contoso.example",
    };
    let help = if text.to_ascii_lowercase().starts_with("mailto:") {
        "remove mailto:"
    } else if text.contains('＠') {
        "this @ is a full-width character; type a plain @"
    } else if text
        .rsplit_once('@')
        .is_some_and(|(before, domain)| !before.contains('@') && domain.contains(','))
    {
        "there is a comma after the @; write a dot, as in \"sales@contoso.example\""
    } else if addresses > 1 {
        "write several addresses as a list, or with ; between them"
    } else if text.contains('<') != text.contains('>') {
        "put the address between < and >"
    } else if addresses == 1 && words.len() > 1 {
        return format!("put the address between < and >: \"Sales <{one}>\"");
    } else if !text.contains('@') {
        "an address contains an @, as in \"sales@contoso.example\"; if a name contains a ;, write a list"
    } else {
        "write \"sales@contoso.example\" or \"Sales <sales@contoso.example>\"; several in a list, or with ; between \
         them"
    };
    help.to_owned()
}

/// A domain in other letters becomes punycode.
fn in_ascii(text: &str) -> String {
    let Some((before, domain)) = text.rsplit_once('@') else { return text.to_owned() };
    let (domain, after) = domain.split_at(domain.find('>').unwrap_or(domain.len()));
    match url::Host::parse(domain) {
        Ok(host) if !domain.is_ascii() => format!("{before}@{host}{after}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quotes() {
        for (text, name) in [
            ("(주)콘토소 <a@b.example>", "(주)콘토소"),
            ("콘토소 (주) <a@b.example>", "콘토소 (주)"),
            ("김민준(영업) <a@b.example>", "김민준(영업)"),
            ("Contoso, Inc. <a@b.example>", "Contoso, Inc."),
            ("A [B]: C <a@b.example>", "A [B]: C"),
            ("\"Sales; EU\" <a@b.example>", "Sales; EU"),
        ] {
            let mailbox = mailbox(text).unwrap();
            assert_eq!((mailbox.name.as_deref(), mailbox.address.as_str()), (Some(name), "a@b.example"));
            // As it is in the header of a mail, and is read from there.
            let shown = ParsedMailbox::new(mailbox.name, mailbox.address.parse().unwrap()).to_string();
            let again: ParsedMailbox = shown.parse().unwrap();
            assert_eq!(again.name.as_deref(), Some(name), "{shown}");
        }
    }

    #[test]
    fn each_mistake_has_its_remedy() {
        for (text, help) in [
            ("a@b.example, c@d.example", "as a list, or with ;"),
            ("a@b.example c@d.example", "as a list, or with ;"),
            ("A <a@b.example>, B <c@d.example>", "as a list, or with ;"),
            ("sales@contoso,example", "write a dot"),
            ("mailto:a@b.example", "remove mailto:"),
            ("sales＠contoso.example", "plain @"),
            ("Sales a@b.example", "\"Sales <a@b.example>\""),
            ("a@b.example (Sales)", "\"Sales <a@b.example>\""),
            ("Sales <a@b.example", "between < and >"),
            ("a@b.example>", "between < and >"),
            ("Sales", "an address contains an @"),
            ("a@@b.example", "write \"sales@contoso.example\""),
        ] {
            let (message, found) = mailbox(text).unwrap_err();
            assert!(
                message.contains("is not a valid mail address") && found.contains(help),
                "{text}: {found}"
            );
        }
    }
}
