use super::*;

fn warnings(text: &str, partial: &str) -> Vec<(At, String, String)> {
    let body = Template::compile(text).unwrap();
    let partial = Template::compile(partial).unwrap();
    let partials = [("_row", &partial)];
    let found = of_mail([("body", &body)], &partials);
    let warning = |(_, named)| match named {
        Named::Questionable { at, message, help } => Some((at, message, help)),
        Named::Column { .. } | Named::Field(_) => None,
    };
    found.into_iter().filter_map(warning).collect()
}

#[test]
fn a_misspelt_value_is_found_wherever_it_is_asked_for() {
    for (text, name, help) in [
        ("{{#if atached}}x{{/if}}", "atached", "did you mean `attached`?"),
        ("{{#unless hiden}}x{{/unless}}", "hiden", "did you mean `hidden`?"),
        ("{{#if (and length lead.emial)}}x{{/if}}", "lead.emial", "did you mean `email`?"),
        ("{{#if (or (not lead.isTest) length)}}x{{/if}}", "lead.isTest", "did you mean `is_test`?"),
        ("{{#each row}}x{{else}}none{{/each}}", "row", "did you mean `rows`?"),
        ("{{#if length}}x{{else if flow.nam}}y{{/if}}", "flow.nam", "did you mean `name`?"),
        ("{{#each rows}}{{#if lead.emial}}x{{/if}}{{/each}}", "lead.emial", "did you mean `email`?"),
        ("{{#each rows as |row|}}{{#if row.lead.emial}}x{{/if}}{{/each}}", "row.lead.emial", "`email`"),
        ("{{#each rows}}{{#with lead}}{{#if emial}}x{{/if}}{{/with}}{{/each}}", "emial", "`email`"),
        ("{{#each rows}}{{#if ../lenght}}x{{/if}}{{/each}}", "../lenght", "did you mean `length`?"),
        ("{{#each rows}}{{#if @root.lenght}}x{{/if}}{{/each}}", "@root.lenght", "did you mean `length`?"),
        ("{{#each rows}}{{#if length}}x{{/if}}{{/each}}", "length", "of the mail it is `@root.length`"),
        ("{{#if rows.length}}x{{/if}}", "rows.length", "write `length`"),
        ("{{#each rows as |row at|}}{{#if row.lead.emial}}x{{/if}}{{/each}}", "row.lead.emial", "`email`"),
        ("{{#each rows as |row|}}{{#if ../row}}x{{/if}}{{/each}}", "../row", "did you mean `rows`?"),
        ("{{#with \"x\"}}{{#if length}}x{{/if}}{{/with}}", "length", "it is a single value"),
        ("{{#if Company}}x{{/if}}", "Company", "write it within {{#each rows}}"),
        ("{{#each lead.others}}{{#if valu}}x{{/if}}{{/each}}", "valu", "did you mean `value`?"),
        ("{{#if lead.email.domain}}x{{/if}}", "lead.email.domain", "it is a single value"),
        ("{{#if (lookup lead \"emial\")}}x{{/if}}", "emial", "did you mean `email`?"),
        ("{{#each rows}}{{> _row}}{{/each}}", "lead.frist_name", "did you mean `first_name`?"),
        ("{{#each rows}}{{> _row this}}{{/each}}", "lead.frist_name", "did you mean `first_name`?"),
        ("{{> _row lead=lead}}", "lead.frist_name", "did you mean `first_name`?"),
    ] {
        let found = warnings(text, "{{#if lead.frist_name}}x{{/if}}");
        let [(at, message, said)] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert_eq!(message, &format!("there is no value `{name}`"), "{text}");
        assert!(said.contains(help) && at.is_some(), "{text}: {said}");
    }
}

#[test]
fn each_kind_says_what_it_has() {
    use Kind::{Flow, Lead, Mail, Other, Others, Plain, Rows, Run, Texts};
    let said = [Mail, Rows, Lead, Others, Other, Flow, Run, Texts, Plain].map(|kind| {
        ["length", "nam"].map(|name| format!("{name} of {kind:?}: {}", kind.remedy(name))).join("\n")
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn at_most_a_hundred_doubts_are_reported() {
    let doubtful = |number| format!("{{{{#if x{number}}}}}x{{{{/if}}}}");
    let text = (0..101).map(doubtful).collect::<Vec<_>>().concat();
    assert_eq!(warnings(&text, "").len(), 100);
}

#[test]
fn a_correct_template_gives_no_warning() {
    for text in [
        "{{#each rows}}{{#each this}}{{#unless (or (eq @key \"lead\") (eq this \
         null))}}{{this}}{{/unless}}{{/each}}{{/each}}",
        "{{#each rows}}{{#if (eq @index ../length)}}{{lead.others.0.name}}{{@../key}}{{/if}}{{/each}}",
        "{{#each rows as |row at|}}{{#if (and row.[Last Name] at)}}{{row.Company.x}}{{/if}}{{/each}}",
        "{{#each columns as |column|}}{{lookup @root.rows.0 column}}{{/each}}{{#with \
         flow}}{{name}}{{/with}}",
        "{{#each rows}}{{> _row ../lead note=\"x\"}}{{/each}}{{#each lead}}{{this}}{{@key}}{{/each}}",
        "{{#if (gt (len rows) 1)}}{{date now \"%d %b %Y\"}}{{this.length}}{{./length}}{{/if}}",
    ] {
        let found = warnings(text, "{{#if note}}{{../anything}}{{email}}{{/if}}");
        assert!(found.is_empty() || text.contains("_row"), "{text}: {found:?}");
        // The partial is about a lead there, which has no note of its own.
        assert!(found.iter().all(|(_, message, _)| !message.contains("note")), "{found:?}");
    }
}

#[test]
fn a_date_format_of_another_language_is_translated() {
    for (format, help) in [
        ("yyyy-MM-dd", "write \"%Y-%m-%d\""),
        ("dd.MM.yyyy HH:mm", "write \"%d.%m.%Y %H:%M\""),
        ("YYYY/MM/DD", "write \"%Y/%m/%d\""),
        ("long", "write \"%Y-%m-%d %H:%M\""),
        ("%Y-%m-%d %!", "write \"%Y-%m-%d %H:%M\""),
    ] {
        let found = warnings(&format!("{{{{date now \"{format}\"}}}}"), "");
        let [(_, message, said)] = found.as_slice() else { panic!("{format}: {found:?}") };
        assert!(message.contains(format) && said == help, "{format}: {message}, {said}");
    }
}

#[test]
fn columns_and_fields_are_reported() {
    let text = "{{length}}{{#each rows}}{{Region}}{{#if [Last Name]}}{{lead.email}}{{/if}}{{lookup this \
                \"City\"}}{{#each lead.others}}{{value}}{{/each}}{{/each}}{{rows.0.Zip}}";
    let template = Template::compile(text).unwrap();
    let found = of_mail([("body", &template)], &[]).into_iter().map(|(_, named)| match named {
        Named::Column { name, .. } => name,
        Named::Field(field) => format!("lead.{}", field.unwrap_or_default()),
        Named::Questionable { message, .. } => panic!("{message}"),
    });
    assert_eq!(found.collect::<Vec<_>>(), ["Region", "Last Name", "lead.email", "City", "Zip"]);
}
