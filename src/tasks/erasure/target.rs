//! The person to erase, as people type or copy it.

use url::Host;

/// The person to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureTarget {
    /// By address, in lower case.
    Email(String),
    /// By the `RowKey` of a lead, and its `PartitionKey` where it is given.
    Key(Option<String>, String),
}

impl ErasureTarget {
    /// An address, with whatever mail programs put around one (`Ana <ana@fabrikam.example>`,
    /// `mailto:`, a comma behind it); anything else is a key.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(address) = address_in(text) {
            return Self::Email(address.to_lowercase());
        }
        match text.rsplit_once('/') {
            Some((partition, row)) => Self::Key(Some(partition.to_owned()), row.to_owned()),
            None => Self::Key(None, text.to_owned()),
        }
    }
}

/// The one address of the text, where it has one.
fn address_in(text: &str) -> Option<String> {
    let text = text.replace('＠', "@");
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '.'));
    let inner = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, inner)) => inner,
        None => text,
    };
    let inner = match inner.split_once(':') {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("mailto") => {
            address.split('?').next().unwrap_or_default()
        }
        _ => inner,
    };
    let address = inner.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'));
    let (local, domain) = address.split_once('@')?;
    let is_one = !local.is_empty()
        && !domain.is_empty()
        && !address.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>'))
        && !domain.contains('@');
    is_one.then(|| address.to_owned())
}

/// The address as it is written, and with its domain as DNS and as people have it.
pub(super) fn forms_of(address: &str) -> Vec<String> {
    let mut forms = vec![address.to_owned()];
    if let Some((local, domain)) = address.rsplit_once('@')
        && let Ok(Host::Domain(of_dns)) = Host::parse(domain)
    {
        let (of_people, _) = idna::domain_to_unicode(&of_dns);
        for form in [of_dns, of_people] {
            let form = format!("{local}@{form}");
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_however_it_was_copied_and_all_else_is_a_key() {
        for text in [
            "ana@fabrikam.example",
            " ANA@Fabrikam.Example\n",
            "<ana@fabrikam.example>",
            "Ana Silva <ana@fabrikam.example>",
            "\"Silva, Ana\" <ana@fabrikam.example>;",
            "mailto:ana@fabrikam.example",
            "MAILTO:ana@fabrikam.example?subject=x",
            "<mailto:ana@fabrikam.example>",
            "'ana@fabrikam.example'",
            "ana@fabrikam.example,",
            "ana@fabrikam.example.",
            "ana＠fabrikam.example",
        ] {
            assert_eq!(
                ErasureTarget::parse(text),
                ErasureTarget::Email("ana@fabrikam.example".to_owned()),
                "{text}"
            );
        }
        for text in ["o'hara@b.example", "x+y@b.example", "a/b@c.example", "ana@localhost"] {
            assert_eq!(ErasureTarget::parse(text), ErasureTarget::Email(text.to_owned()));
        }
        for text in ["1", "p/1", "@", "ana@", "@b.example", "a@b@c", "a@b.example c@d.example", "a b@c", ""] {
            assert!(matches!(ErasureTarget::parse(text), ErasureTarget::Key(..)), "{text}");
        }
        assert_eq!(ErasureTarget::parse("a/b/c"), ErasureTarget::Key(Some("a/b".to_owned()), "c".to_owned()));
    }

    #[test]
    fn a_domain_is_known_as_dns_and_as_people_have_it() {
        let both = ["kim@예시.example", "kim@xn--vv4b11d.example"];
        assert_eq!(forms_of(both[0]), both);
        assert_eq!(forms_of(both[1]), [both[1], both[0]]);
        for one in ["ana@fabrikam.example", "ana@[127.0.0.1]", "ana@x y"] {
            assert_eq!(forms_of(one), [one]);
        }
    }
}
