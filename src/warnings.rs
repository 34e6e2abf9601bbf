//! What a run warns of.

/// Warnings of a run: logged at once, and kept for the report.
#[derive(Debug, Default)]
pub struct Warnings(Vec<String>);

impl Warnings {
    /// Logs a warning and keeps it.
    pub fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        log::warn!("{text}");
        self.0.push(text);
    }

    /// What was warned of so far, in order.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.0
    }
}
