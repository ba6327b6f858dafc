//! The mails in a dark scheme.

/// Every colour of a shipped template has another one in the dark: a tag with a colour of its own has a
/// class that the dark scheme sets, but for a badge, which brings both its colours.
#[test]
fn every_colour_has_its_dark_one() {
    for (name, html) in [
        ("rows", include_str!("../../templates/rows.html.hbs")),
        ("marketplace-leads", include_str!("../../templates/marketplace-leads.html.hbs")),
        ("marketplace-leads.ko", include_str!("../../templates/marketplace-leads.ko.html.hbs")),
        ("marketplace-lead", include_str!("../../templates/marketplace-lead.html.hbs")),
        ("marketplace-lead.ko", include_str!("../../templates/marketplace-lead.ko.html.hbs")),
        ("alarm_mail", include_str!("alarm_mail.html.hbs")),
    ] {
        let dark =
            html.split_once("prefers-color-scheme: dark").and_then(|(_, rest)| rest.split_once("</style>"));
        let (dark, body) = dark.unwrap_or_else(|| panic!("{name} has no dark scheme"));
        for tag in body.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
            let Some((_, style)) = tag.split_once("style=\"") else { continue };
            let style = style.split('"').next().unwrap_or_default();
            let has = |key: &str| style.split(';').any(|part| part.trim().starts_with(key));
            let has_text = has("color:");
            let has_ground = has("background-color:");
            let classes =
                tag.split_once("class=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
            let rules: Vec<&str> = classes
                .split(' ')
                .filter_map(|class| dark.split_once(&format!(".{class} {{")))
                .filter_map(|(_, rest)| rest.split('}').next())
                .collect();
            let sets = |key: &str| rules.iter().any(|rule| rule.contains(key));
            let is_badge = has_text && has_ground && classes.is_empty();
            assert!(is_badge || !has_text || sets(" color:"), "{name}: <{tag}>");
            assert!(is_badge || !has_ground || sets("background-color:"), "{name}: <{tag}>");
        }
    }
}
