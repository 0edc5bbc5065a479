//! Status lists.
