//! The ministry of health's files (QĐ 130, 4750 and 3176/QĐ-BYT): what clinics send, read as records of members. Pure
//! functions over streams; they promise that memory does not grow with the file, and refuse what `xml` and `envelope` say.

pub mod envelope;
pub mod tables;
pub mod xml;
