use super::*;

fn html(text: &str) -> Sources {
    Sources {
        subject: Source { place: TemplateLocation::Subject, text: "{{length}} rows".to_owned() },
        html: Some(Source { place: TemplateLocation::File("leads.html.hbs".into()), text: text.to_owned() }),
        ..Sources::default()
    }
}

#[test]
fn html_is_escaped_and_text_is_not() {
    let mut sources = html("<p>{{rows.0.Company}}</p>");
    sources.text = Some(Source { place: TemplateLocation::Body, text: "{{rows.0.Company}}".to_owned() });
    let templates = Templates::compile(sources).unwrap();
    let rendered = templates.render(&json!({ "length": 1, "rows": [{ "Company": "A & <b>" }] })).unwrap();
    assert_eq!(rendered.html.unwrap(), "<p>A &amp; &lt;b&gt;</p>");
    assert_eq!((rendered.text.unwrap().as_str(), rendered.subject.as_str()), ("A & <b>", "1 rows"));
}

#[test]
fn what_templates_name_is_known_with_its_place() {
    let mut sources =
        html("<a href=\"{{lead.email}}\">{{#if lenght}}{{/if}}{{#each rows}}{{> _row}}{{/each}}");
    let partial =
        Source { place: TemplateLocation::File("_row.html.hbs".into()), text: "\n{{Region}}".to_owned() };
    sources.html_partials = vec![("_row".to_owned(), partial.clone())];
    let templates = Templates::compile(sources.clone()).unwrap();
    let region = NamedColumn { name: "Region".to_owned(), place: partial.place, at: Some((2, 1)) };
    assert_eq!(templates.columns(), [region]);
    assert_eq!(templates.fields().iter().collect::<Vec<_>>(), ["email"]);
    let risks: Vec<_> = templates.risks().iter().map(|risk| risk.message.as_str()).collect();
    assert_eq!(
        risks,
        ["a value is used as a whole address, so it may lead anywhere", "there is no value `lenght`"]
    );
    assert_eq!(templates.sources(), &sources);
    let digest = Templates::compile(html("many")).unwrap();
    let templates = templates.with_digest(Some(digest));
    assert_eq!(templates.digest().map(Templates::sources), Some(&html("many")));
    assert_eq!(templates.columns().len(), 1);
}

#[test]
fn a_missing_value_is_named_and_not_a_doubtful_one_before_it() {
    for (text, name, help) in [
        ("{{#if hiden}}x{{/if}}\n{{lenght}}", "lenght", "did you mean `length`?"),
        ("{{#if hiden}}x{{/if}}\n{{#each rows}}{{Company.x}}{{/each}}", "Company.x", "values are length"),
    ] {
        let errors = Templates::compile(html(text)).unwrap_err();
        assert_eq!(errors[0].message, format!("there is no value `{name}`"));
        assert!(errors[0].help.as_ref().unwrap().contains(help), "{errors:?}");
    }
}

#[test]
fn lines_of_a_text_are_indented_however_the_value_stands_there() {
    let text = "{{{x}}}\n{{#if x}}{{{x}}}{{else}}{{{x}}}{{/if}}\n{{#if y}}{{else}}{{{x}}}{{/if}}\n{{#> \
                _a}}{{{x}}}{{/_a}}";
    let mut sources = Sources {
        text: Some(Source { place: TemplateLocation::Body, text: text.to_owned() }),
        ..Sources::default()
    };
    let block = Source { place: TemplateLocation::Body, text: "{{> @partial-block}}".to_owned() };
    sources.text_partials = vec![("_a".to_owned(), block)];
    let mut text = registry(false);
    let mut sources = vec![(BODY.to_owned(), sources.text.unwrap()), sources.text_partials.remove(0)];
    register(&mut text, std::mem::take(&mut sources), false, &mut vec![], &mut vec![]);
    let rendered = text.render(BODY, &json!({ "x": "a\nb", "y": false })).unwrap();
    assert_eq!(rendered, ["a\n            b"; 4].join("\n"));
}

#[test]
fn everything_that_is_wrong_is_reported_with_its_place() {
    for (text, at, message) in [
        ("<p>\n{{#if length}}", Some((2, 1)), "the block `{{#if}}` is not closed"),
        ("<p>{{#if (eq length ‘1’)}}x{{/if}}", Some((1, 21)), "the quotes are curly"),
        ("{{length 1 as |x}}", Some((1, 12)), "invalid handlebars syntax"),
        ("a\n {{shout length}}", Some((2, 2)), "there is no helper `shout`"),
        (
            "{{#if length}}{{else}}{{#each rows}}{{> footer}}{{/each}}{{/if}}",
            Some((1, 37)),
            "there is no partial `footer`",
        ),
        ("{{{rows.0.Company}}}", Some((1, 1)), "puts a value into the HTML unescaped"),
        ("{{lenght}}", Some((1, 1)), "there is no value `lenght`"),
        ("{{#each rows}}{{lead.frist_name}}{{/each}}", Some((1, 15)), "there is no value `lead.frist_name`"),
        ("{{#each rows}}{{length}}{{/each}}", Some((1, 15)), "there is no value `length`"),
        ("{{date rows}}{{truncate length}}", None, "`truncate` needs one more argument"),
    ] {
        let errors = Templates::compile(html(text)).unwrap_err();
        assert!(errors[0].message.contains(message), "{text}: {errors:?}");
        if at.is_some() {
            assert_eq!(errors[0].at, at, "{text}");
        }
    }
    let raw = "{{#*inline \"x\"}}{{{length}}}{{/inline}}";
    for (text, message) in [
        (raw, "`{{*…}}` and `{{#*…}}` are not supported"),
        ("{{#> _a}}{{{length}}}{{/_a}}", "puts a value into the HTML unescaped"),
        (&"{{#if length}}".repeat(600), "the template is nested too deeply"),
        (&format!("{{{{default {}1}}}}", "(not ".repeat(600)), "the template is nested too deeply"),
        ("{{> _a}}", "the template uses itself"),
    ] {
        let mut sources = html(text);
        let partial = |text: &str| Source {
            place: TemplateLocation::File("_x.html.hbs".into()),
            text: text.to_owned(),
        };
        sources.html_partials =
            vec![("_a".to_owned(), partial("{{> _b}}")), ("_b".to_owned(), partial("{{> _a}}"))];
        let errors = Templates::compile(sources).unwrap_err();
        assert!(errors.iter().any(|error| error.message.contains(message)), "{text}: {errors:?}");
    }
    let errors = Templates::compile(html("{{a b}}{{> c}}")).unwrap_err();
    assert_eq!(errors.len(), 2);
}

#[test]
fn dates_numbers_and_addresses() {
    for (template, expected) in [
        ("{{date rows.0.at '%d.%m.%Y %H:%M'}}", "05.01.2026 17:00"),
        ("{{date rows.0.at '%H:%M' 'Europe/Paris'}}", "09:00"),
        ("{{date rows.0.net '%Y-%m-%d %H:%M'}}", "2026-01-05 17:00"),
        ("{{date rows.0.word}}", "soon"),
        ("{{date rows.0.day}}", "2026-03-01"),
        ("{{date rows.0.day '%d.%m.%Y %H:%M' 'America/Los_Angeles'}}", "01.03.2026"),
        ("{{date rows.0.day '%A, %d %B %Y'}}", "Sunday, 01 March 2026"),
        ("{{date rows.0.day '%Y-%m-%dT%H:%M:%S%z'}}", "2026-03-01"),
        ("{{date rows.0.day '%H:%M %d.%m.%Y'}}", "2026-03-01"),
        ("{{date rows.0.no_day}}", "2026-02-30"),
        ("{{date rows.0.basic '%d.%m.%Y %H:%M' 'America/Los_Angeles'}}", "01.03.2026"),
        (
            "{{action rows.0.code}}, {{action rows.0.code 'ko'}}, {{action rows.0.word 'ko'}}",
            "do not contact, 연락 금지, soon",
        ),
        ("{{mailto rows.0.mail}}", "mailto:a%26b@b.example"),
        ("{{mailto rows.0.word}}{{tel rows.0.word}}{{mailto rows.0.none}}", ""),
        ("{{tel rows.0.phone}}", "tel:+821012345678"),
        ("{{url_encode rows.0.mail}}{{url_encode rows.0.none}}", "a%26b%40b.example"),
        ("{{safe_url rows.0.spaced}}", "https://b.example/a%20b"),
        ("{{default rows.0.none '–'}}", "–"),
        ("{{truncate rows.0.word 2}}", "so…"),
        ("{{safe_url rows.0.bad}}", "#"),
        ("{{json rows.0.none}}", "null"),
    ] {
        let templates = Templates::compile(html(template)).unwrap();
        let row = json!({
            "at": "2026-01-05T08:00:00.1234567Z", "net": "1/5/2026 8:00:00 AM", "word": "soon", "none": null,
            "day": "2026-03-01", "basic": "20260301", "code": "DNC", "no_day": "2026-02-30", "mail": "a&b@b.example", "phone": "+82 10-1234-5678",
            "spaced": "https://b.example/a b",
            "bad": "javascript:alert(1)",
        });
        let data = json!({ "length": 1, "rows": [row], "flow": { "time_zone": "Asia/Seoul" } });
        assert_eq!(templates.render(&data).unwrap().html.unwrap(), expected, "{template}");
    }
}

#[test]
fn a_code_that_nobody_knows_is_shown_once() {
    let files = [
        (include_str!("../../../../templates/marketplace-lead.html.hbs"), true),
        (include_str!("../../../../templates/marketplace-lead.ko.html.hbs"), true),
        (include_str!("../../../../templates/marketplace-leads.html.hbs"), true),
        (include_str!("../../../../templates/marketplace-leads.ko.html.hbs"), true),
        (include_str!("../../../../templates/marketplace-lead.txt.hbs"), false),
        (include_str!("../../../../templates/marketplace-lead.ko.txt.hbs"), false),
        (include_str!("../../../../templates/marketplace-leads.txt.hbs"), false),
        (include_str!("../../../../templates/marketplace-leads.ko.txt.hbs"), false),
    ];
    let shown = |text: &str, is_html: bool, [action, meaning]: [&str; 2]| {
        let mut data = trial_data(&[]);
        for lead in ["/lead", "/rows/0/lead"] {
            let lead = data.pointer_mut(lead).unwrap();
            lead["action"] = action.into();
            lead["action_meaning"] = meaning.into();
        }
        let renderer = if is_html { Renderer::of_html(text) } else { Renderer::of_text(text) };
        renderer.unwrap().render(&data).unwrap().matches(action).count()
    };
    for (text, is_html) in files {
        assert_eq!(shown(text, is_html, ["XYZ-9", "XYZ-9"]), 1, "{text}");
        assert_eq!(shown(text, is_html, ["INS", "acquired the offer"]), 1, "{text}");
    }
}
