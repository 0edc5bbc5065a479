//! Asks back before what cannot be undone: whoever types the same once more means it.

use std::io::{self, BufRead as _, Write as _};

use super::error::AdminError;

/// Asks for the member once more, on the terminal or from a pipe; not where the command says yes already.
///
/// # Errors
/// [`AdminError::NotConfirmed`] for another answer, or none.
pub(super) fn erasure(member: &str, yes: bool) -> Result<(), AdminError> {
    if yes {
        return Ok(());
    }
    let question = "\
Xóa vĩnh viễn người tham gia này, kể cả trong mọi bản sao lưu. Gõ lại số để xác nhận.
This erases the member for good, in every backup too. Type the number again to confirm: ";
    let mut out = io::stderr().lock();
    out.write_all(question.as_bytes()).and_then(|()| out.flush()).map_err(AdminError::Output)?;
    let mut answer = String::new();
    // A line that cannot be read confirms nothing.
    let read = io::stdin().lock().read_line(&mut answer).unwrap_or(0);
    if read == 0 {
        // Nobody has ended the line of the question.
        writeln!(out).map_err(AdminError::Output)?;
    }
    if answer.trim() == member.trim() { Ok(()) } else { Err(AdminError::NotConfirmed) }
}
