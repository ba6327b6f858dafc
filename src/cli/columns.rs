//! Tables that fit a terminal: what does not fit is left out or cut with …, and never wrapped.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

use super::output;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    is_number: bool,
    /// It gives way down to this width.
    least: Option<usize>,
    /// It is left out where there is no room; the highest number goes first.
    gives_way: Option<u8>,
    /// It has this width even where its cells need less.
    wide: usize,
}

/// Between two columns.
const GAP: usize = 2;

impl Column {
    pub(super) fn text(name: &'static str) -> Self {
        Self { name, is_number: false, least: None, gives_way: None, wide: 0 }
    }

    /// Its cells are aligned to the right.
    pub(super) fn number(name: &'static str) -> Self {
        Self { is_number: true, ..Self::text(name) }
    }

    /// Its cells are cut, to this width at the least, where the table is too wide.
    pub(super) fn shrinks(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// It is left out where there is no room; the highest number goes first.
    pub(super) fn if_room(self, rank: u8) -> Self {
        Self { gives_way: Some(rank), ..self }
    }

    /// It has this width at least: rows are still to come.
    pub(super) fn at_least(self, wide: usize) -> Self {
        Self { wide, ..self }
    }
}

/// The columns that fit and how wide each is.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<Column>,
    /// Position among all the columns, and width.
    shown: Vec<(usize, usize)>,
}

impl Layout {
    /// For these rows in this width; `None` is endless.
    pub(super) fn fit(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Self {
        let natural = |(at, column): (usize, &Column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
            (at, cells.max().unwrap_or(0).max(column.name.width()).max(column.wide))
        };
        let mut layout =
            Self { columns: columns.to_vec(), shown: columns.iter().enumerate().map(natural).collect() };
        if let Some(width) = width {
            layout.leave_out(width);
            layout.shrink(width);
        }
        layout
    }

    fn leave_out(&mut self, width: usize) {
        let needs = |(at, natural): &(usize, usize), columns: &[Column]| match columns[*at] {
            Column { least: Some(least), gives_way: Some(_), .. } => least.min(*natural),
            _ => *natural,
        };
        let total = |layout: &Self| {
            layout.shown.iter().map(|shown| needs(shown, &layout.columns) + GAP).sum::<usize>()
        };
        while total(self) > width + GAP {
            let rank = |(at, _): &(usize, usize)| self.columns[*at].gives_way;
            let Some(last) = self.shown.iter().filter_map(rank).max() else { return };
            self.shown.retain(|(at, _)| self.columns[*at].gives_way != Some(last));
        }
    }

    fn shrink(&mut self, width: usize) {
        let total: usize = self.shown.iter().map(|(_, wide)| wide + GAP).sum();
        for _ in width + GAP..total {
            let columns = &self.columns;
            let can =
                |(at, wide): &&mut (usize, usize)| columns[*at].least.is_some_and(|least| *wide > least);
            // What can be left out is cut before what cannot.
            let rank = |(at, wide): &&mut (usize, usize)| (columns[*at].gives_way.is_some(), *wide);
            let widest = self.shown.iter_mut().filter(can).max_by_key(rank);
            let Some((_, wide)) = widest else { return };
            *wide -= 1;
        }
    }

    pub(super) fn head(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name.to_uppercase()).collect();
        self.line(&names)
    }

    pub(super) fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (at, wide) in &self.shown {
            let text = output::cut(cells.get(*at).map_or("", String::as_str), Some(*wide));
            let pad = " ".repeat(wide.saturating_sub(text.width()));
            let (before, after) =
                if self.columns[*at].is_number { (pad.as_str(), "") } else { ("", pad.as_str()) };
            line.extend([before, &text, after, "  "]);
        }
        line.trim_end().to_owned()
    }
}

/// A table with its head.
#[derive(Debug)]
pub(super) struct Table {
    layout: Layout,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[Column], rows: Vec<Vec<String>>, width: Option<usize>) -> Self {
        Self { layout: Layout::fit(columns, &rows, width), rows }
    }

    /// How wide its lines are, the gap after the last column included.
    pub(super) fn width(&self) -> usize {
        self.layout.shown.iter().map(|(_, wide)| wide + GAP).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.layout.head())?;
        self.rows.iter().try_for_each(|row| write!(f, "\n{}", self.layout.line(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [fn() -> Column; 4] = [
        || Column::number("run"),
        || Column::text("flow").shrinks(6),
        || Column::text("due").if_room(2),
        || Column::text("summary").shrinks(10).if_room(1),
    ];

    fn shown(width: Option<usize>) -> String {
        let rows = [
            ["9", "marketplace-leads", "08:00:00", "3 new rows in 1 mail"],
            ["10", "새로운-고객", "09:00:00", "no new rows"],
        ];
        let rows = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        Table::new(&COLUMNS.map(|column| column()), rows, width).to_string()
    }

    #[test]
    fn what_does_not_fit_is_cut_then_left_out() {
        let whole = "RUN  FLOW               DUE       SUMMARY\n  \
                       9  marketplace-leads  08:00:00  3 new rows in 1 mail\n \
                      10  새로운-고객        09:00:00  no new rows";
        assert_eq!(shown(None), whole);
        assert_eq!(shown(Some(54)), whole);
        let cut = "RUN  FLOW               DUE       SUMMARY\n  \
                     9  marketplace-leads  08:00:00  3 new rows in…\n \
                    10  새로운-고객        09:00:00  no new rows";
        assert_eq!(shown(Some(48)), cut);
        let fewer = "RUN  FLOW               SUMMARY\n  \
                       9  marketplace-leads  3 new row…\n \
                      10  새로운-고객        no new ro…";
        assert_eq!(shown(Some(34)), fewer);
        let least = "RUN  FLOW\n  9  marketplac…\n 10  새로운-고객";
        assert_eq!(shown(Some(16)), least);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_while_anything_can_give_way() {
        for width in 11..80 {
            let text = shown(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "in {width}:\n{text}");
        }
    }
}
