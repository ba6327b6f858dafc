//! What is asked of a table.

/// Which rows of a table to read, and which columns of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The filter with its past time filled in; `None` reads all rows.
    pub filter: Option<String>,
    /// Columns to ask for; all without it. The keys and the Timestamp always come.
    pub select: Option<Vec<String>>,
}

impl Query {
    /// For the rows of this `RowKey`, and of this `PartitionKey` where it is given; with all their columns.
    pub fn of_keys(partition_key: Option<&str>, row_key: &str) -> Self {
        let quoted = |text: &str| text.replace('\'', "''");
        let of_row = format!("RowKey eq '{}'", quoted(row_key));
        let filter = match partition_key {
            Some(partition) => format!("PartitionKey eq '{}' and {of_row}", quoted(partition)),
            None => of_row,
        };
        Self { filter: Some(filter), select: None }
    }

    /// The same rows, of which the keys and the `Timestamp` are enough.
    #[must_use]
    pub fn keys_only(self) -> Self {
        Self { select: Some(["PartitionKey", "RowKey"].map(str::to_owned).to_vec()), ..self }
    }

    /// The same rows, with all their columns.
    #[must_use]
    pub fn all_columns(self) -> Self {
        Self { select: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn keys_are_quoted_and_stay_one_value_each() {
        let query = Query::of_keys(Some("o'neil"), "r' or RowKey ne '");
        assert_eq!(
            query.filter.as_deref(),
            Some("PartitionKey eq 'o''neil' and RowKey eq 'r'' or RowKey ne '''")
        );
        assert_eq!(Query::of_keys(None, "r").filter.as_deref(), Some("RowKey eq 'r'"));
    }

    #[test]
    fn columns_are_all_or_the_keys_and_the_filter_stays() {
        let query = Query { filter: Some("a eq 1".to_owned()), select: Some(vec!["a".to_owned()]) };
        let keys = query.clone().keys_only();
        assert_eq!(keys.select.unwrap_or_default(), ["PartitionKey", "RowKey"]);
        assert_eq!(
            (keys.filter, query.clone().all_columns().filter),
            (query.filter.clone(), query.filter.clone())
        );
        assert_eq!(query.all_columns().select, None);
    }
}
