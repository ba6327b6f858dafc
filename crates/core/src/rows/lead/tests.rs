//! What is read from rows of every shape.

use super::*;

fn lead(row: &Value) -> Map<String, Value> {
    from_columns(row.as_object().unwrap())
}

#[test]
fn a_plain_lead() {
    let lead = lead(&json!({
        "RowKey": "MSFT_TEST_636737558587117715", "CreatedTime": "2026-03-01T08:00:00Z",
        "ActionCode": "INS", "LeadSource": "SPZA-INS|contoso.app", "OfferDisplayName": "Contoso App",
        "PublisherDisplayName": "Contoso", "Description": "Campaigns: ",
        "CustomerInfo": r#"{"FirstName":"민준","LastName":"김","Email":"kim@contoso.example"}"#,
    }));
    assert_eq!(lead["name"], "김민준");
    assert_eq!(lead["offer"], "Contoso App");
    assert_eq!(lead["action_meaning"], "acquired the offer");
    assert_eq!((&lead["phone"], &lead["description"]), (&Value::Null, &Value::Null));
    assert_eq!((&lead["is_test"], &lead["do_not_contact"]), (&json!(true), &json!(false)));
}

#[test]
fn what_is_missing_or_broken_is_null_and_unknown_codes_pass() {
    for (customer, email) in [
        (json!("{broken"), Value::Null),
        (json!(null), Value::Null),
        (json!({"email": "a@b.example"}), json!("a@b.example")),
    ] {
        let lead = lead(&json!({"RowKey": "1", "customerinfo": customer, "ActionCode": "XYZ"}));
        assert_eq!(lead["email"], email);
        assert_eq!((&lead["action"], &lead["action_meaning"]), (&json!("XYZ"), &json!("XYZ")));
    }
    let lead = lead(&json!({"LeadSource": "SPZA-DNC|contoso.app", "Timestamp": "2026-03-01T08:00:00Z"}));
    assert_eq!((&lead["offer"], &lead["do_not_contact"]), (&json!("contoso.app"), &json!(true)));
    assert_eq!(lead["created"], "2026-03-01T08:00:00Z");
}

#[test]
fn a_test_lead_is_known_by_its_key_or_its_fields_and_dnc_by_either_code() {
    let info = |fields: Value| json!({ "RowKey": "1", "CustomerInfo": fields.to_string() });
    for (row, is_test) in [
        (json!({ "RowKey": "MSFT_TEST_636737558587117715" }), true),
        (json!({ "RowKey": "1", "PartitionKey": "MSFT_TEST" }), true),
        (json!({ "RowKey": "1", "Description": "MSFT_TEST description" }), true),
        (info(json!({ "FirstName": "MSFT_TEST_First", "Email": "a@b.example" })), true),
        (info(json!({ "Email": "msft_test_636737@test.example" })), true),
        (info(json!({ "Contact": { "LastName": "MSFT_TEST" } })), true),
        (json!({ "RowKey": "1", "CustomerInfo": "{broken MSFT_TEST" }), true),
        (json!({ "RowKey": "1", "CustomerInfo": { "company": "MSFT_TEST Co" } }), true),
        (info(json!({ "FirstName": "Test", "Company": "MSFT Testing" })), false),
        // The publisher's own names say nothing of the customer.
        (json!({ "RowKey": "1", "ProductId": "contoso.msft_test", "OfferDisplayName": "MSFT_TEST" }), false),
    ] {
        assert_eq!(lead(&row)["is_test"], is_test, "{row}");
    }
    for (row, do_not_contact) in [
        (json!({ "ActionCode": " dnc " }), true),
        (json!({ "ActionCode": "INS", "LeadSource": "SPZA-DNC|contoso.app" }), true),
        (json!({ "LeadSource": "AzureMarketplace-dnc|contoso.app" }), true),
        (json!({ "ActionCode": "INS", "LeadSource": "SPZA-INS|contoso.dnc" }), false),
    ] {
        assert_eq!(lead(&row)["do_not_contact"], do_not_contact, "{row}");
    }
}

#[test]
fn a_korean_name_begins_with_the_family_name() {
    for (first, last, name) in [
        ("민준", "김", "김민준"),
        ("민", "남궁", "남궁민"),
        ("김민준", "", "김민준"),
        ("", "김", "김"),
        ("Minjun", "김", "Minjun 김"),
        ("Minjun", "Kim", "Minjun Kim"),
        ("Ana", "Silva", "Ana Silva"),
    ] {
        let customer = json!({ "FirstName": first, "LastName": last });
        assert_eq!(lead(&json!({ "CustomerInfo": customer }))["name"], name, "{first}, {last}");
    }
}

#[test]
fn customer_info_of_any_form_is_read_and_what_is_left_stays_visible() {
    let plain = json!({ "FirstName": "Ana", "Age": 7 });
    for customer in [
        plain.clone(),
        json!(plain.to_string()),
        json!(json!(plain.to_string()).to_string()),
        json!({ "Contact": plain }),
    ] {
        let lead = lead(&json!({ "RowKey": "1", "CustomerInfo": customer, "Extra": "x", "Empty": " " }));
        assert_eq!(lead["first_name"], "Ana", "{customer}");
        let others: Vec<_> =
            lead["others"].as_array().unwrap().iter().map(|o| (&o["name"], &o["value"])).collect();
        assert_eq!(others, [(&json!("Extra"), &json!("x")), (&json!("Age"), &json!("7"))], "{customer}");
    }
    for broken in ["{broken", "[1]", "Ana Silva"] {
        let lead = lead(&json!({ "CustomerInfo": broken }));
        assert_eq!(lead["others"], json!([{ "name": "CustomerInfo", "value": broken }]));
    }
    for (customer, name) in [
        (json!({ "FirstName": "Ana", "Address": { "City": "Porto" } }), "Address"),
        (json!({ "Contact": {} }), "Contact"),
    ] {
        let lead = lead(&json!({ "CustomerInfo": customer }));
        assert_eq!(lead["others"][0]["name"], name, "the object beside the fields is none of a lead");
        assert_eq!(lead["first_name"], customer["FirstName"]);
    }
    for empty in [json!(""), json!(" "), json!("{}"), json!(null)] {
        assert_eq!(lead(&json!({ "CustomerInfo": empty }))["others"], json!([]));
    }
    assert_eq!(meaning_of("dnc", true), Some("연락 금지"));
}

#[test]
fn customer_info_is_looked_for_in_three_objects_and_two_texts() {
    let fields = json!({ "FirstName": "Ana" });
    let within = |count: usize| (0..count).fold(fields.clone(), |inner, _| json!({ "Contact": inner }));
    let written = |count: usize| (0..count).fold(fields.clone(), |inner, _| json!(inner.to_string()));
    for (customer, first_name) in [
        (within(2), json!("Ana")),
        (within(3), Value::Null),
        (written(2), json!("Ana")),
        (written(3), Value::Null),
    ] {
        let lead = lead(&json!({ "CustomerInfo": customer }));
        assert_eq!(lead["first_name"], first_name, "{customer}");
        assert_eq!(
            lead["others"] == json!([]),
            !first_name.is_null(),
            "what is not read is shown: {customer}"
        );
    }
}

#[test]
fn a_row_of_the_table_is_recognised_as_a_lead() {
    let row = |fields: &str| {
        Row::from_text(format!(r#"{{"PartitionKey":"p","RowKey":"r","Timestamp":"t",{fields}}}"#)).unwrap()
    };
    let test = row(r#""CustomerInfo":"{\"FirstName\":\" 민준 \",\"LastName\":\"MSFT_TEST\"}""#);
    let dnc = row(r#""ActionCode":"DNC""#);
    assert_eq!([is_test(&test), is_test(&dnc)], [true, false]);
    assert_eq!([is_do_not_contact(&test), is_do_not_contact(&dnc)], [false, true]);
    assert_eq!(Lead::new(&test.columns()).into_map()["name"], "민준 MSFT_TEST");
    let columns = |row: &Row| row.columns().iter().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>();
    assert_eq!([is_lead(&columns(&test)), is_lead(&columns(&dnc))], [true, false]);
}

#[test]
fn a_field_is_read_from_the_columns_that_it_names() {
    for field in FIELDS.into_iter().filter(|field| !["is_test", "do_not_contact"].contains(field)) {
        assert!(!sources_of(field).is_empty(), "{field}");
        for column in sources_of(field) {
            let value = match *column {
                "CustomerInfo" => json!({ "FirstName": "x", "LastName": "x", "Company": "x", "Country": "x",
                    "Email": "x", "Phone": "x", "Title": "x" })
                .to_string(),
                "LeadSource" => "SPZA-INS|contoso.app".to_owned(),
                _ => "x".to_owned(),
            };
            assert!(!lead(&json!({ *column: value }))[field].is_null(), "{field} of {column}");
            assert!(lead(&json!({ "Other": "x" }))[field].is_null(), "{field}");
        }
    }
    assert_eq!(sources_of("is_test"), ["RowKey"]);
}

#[test]
fn every_field_is_there_for_any_row() {
    let names: Vec<_> = lead(&json!({})).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..FIELDS.len()], FIELDS);
    assert_eq!(names[FIELDS.len()..], [OTHERS]);
}

#[test]
fn the_text_of_a_field_is_there_where_the_row_has_one() {
    let row = json!({ "OfferDisplayName": " Contoso App ", "CustomerInfo": { "Email": "a@b.example", "Title": " " } });
    let columns = Columns::of_map(row.as_object().unwrap());
    let lead = Lead::new(&columns);
    assert_eq!((lead.text("offer"), lead.text("email")), (Some("Contoso App"), Some("a@b.example")));
    assert_eq!((lead.text("title"), lead.text("is_test"), lead.text("nothere")), (None, None, None));
}
