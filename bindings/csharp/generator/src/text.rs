//! Text with indentation.

/// Text that grows line by line.
#[derive(Debug, Default)]
pub(crate) struct Text {
    text: String,
    depth: usize,
}

impl Text {
    /// One line.
    pub(crate) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.push_str(&"    ".repeat(self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// Lines, each at the present depth.
    pub(crate) fn lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        lines.into_iter().for_each(|line| self.line(line));
    }

    /// Text that has its own form.
    pub(crate) fn raw(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// Begins a block.
    pub(crate) fn open(&mut self, head: &str) {
        self.line(head);
        self.line("{");
        self.depth += 1;
    }

    /// Ends a block.
    pub(crate) fn close(&mut self) {
        self.end("}");
    }

    /// Ends a block with something behind it.
    pub(crate) fn end(&mut self, end: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.line(end);
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }
}
