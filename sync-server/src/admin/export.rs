//! `admin member export ID --out FILE.zip`: what is kept of a member in one archive that a person can read and a
//! program can verify. Written beside its place, and put there whole.

use std::path::Path;

use bhyt_core::feed::{Entry, FeedPage};
use bhyt_core::ids::hex;
use bhyt_core::record::{Body, Content, RecordKind};
use bhyt_core::records::Fact;
use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::export::ExportPiece;
use bhyt_platform::files::{AtomicFile, FileAccess};
use serde_json::{Value, json};

use super::client::AdminClient;
use super::error::AdminError;
use super::outcome::standing_name;
use super::print::{Output, card_value, device_value, member_value};
use super::zip::Zip;

/// Writes the archive; not over a file that is there, which may be another member's.
///
/// # Errors
/// [`AdminError::Exists`] before anything is asked of the server.
pub(super) async fn run(
    client: &AdminClient,
    output: &Output,
    member: String,
    path: &Path,
) -> Result<(), AdminError> {
    demand_free(path)?;
    let file = AtomicFile::begin(path, FileAccess::OwnerOnly).map_err(AdminError::BackupFile)?;
    let mut archive = Archive { file, zip: Zip::default(), files: 0, records: 0 };
    archive.add("DOC-TRUOC.txt", README.as_bytes())?;
    let take = |reply| match reply {
        AdminReply::Export(piece) => archive.take(*piece),
        _ => Err(AdminError::Unexpected),
    };
    client.stream(AdminCommand::ExportMember(member), take).await?;
    let Archive { mut file, zip, files, records } = archive;
    file.write(&zip.end().ok_or(AdminError::Unexpected)?).map_err(AdminError::BackupFile)?;
    file.finish().map_err(AdminError::BackupFile)?;
    output.export(path, files, records)
}

/// A link that leads nowhere is something too.
fn demand_free(path: &Path) -> Result<(), AdminError> {
    match path.symlink_metadata() {
        Ok(_) => Err(AdminError::Exists { path: path.to_owned() }),
        Err(_) => Ok(()),
    }
}

struct Archive {
    file: AtomicFile,
    zip: Zip,
    files: u64,
    records: u64,
}

impl Archive {
    fn take(&mut self, piece: ExportPiece) -> Result<(), AdminError> {
        match piece {
            ExportPiece::Member(view) => self.add_json("nguoi-tham-gia.json", &member_value(&view)),
            ExportPiece::Card { view, credential } => {
                let name = format!("the/{}-{}", view.row.number, view.status_index);
                self.add_json(&format!("{name}.json"), &card_value(&view))?;
                self.add(&format!("{name}.cose"), &credential)
            }
            ExportPiece::Devices(views) => {
                let rows: Vec<_> = views.iter().map(device_value).collect();
                self.add_json("thiet-bi.json", &json!({ "devices": rows }))
            }
            ExportPiece::Head(head) => self.add("ho-so/head.cose", &head),
            ExportPiece::Page(page) => {
                self.records += page.records().count() as u64;
                let name = format!("ho-so/{:07}.json", page.first_seq().0);
                self.add_json(&name, &page_value(&page))
            }
        }
    }

    fn add_json(&mut self, name: &str, value: &Value) -> Result<(), AdminError> {
        self.add(name, format!("{value:#}\n").as_bytes())
    }

    fn add(&mut self, name: &str, body: &[u8]) -> Result<(), AdminError> {
        let bytes = self.zip.file(name, body).ok_or(AdminError::Unexpected)?;
        self.files += 1;
        self.file.write(&bytes).map_err(AdminError::BackupFile)
    }
}

/// Records as they are read, beside what their leaves are made of.
fn page_value(page: &FeedPage) -> Value {
    let entries = page.entries().map(|(seq, entry)| match entry {
        Entry::Erased { hash } => json!({ "seq": seq.0, "erased": hex(&hash.0) }),
        Entry::Record { salt, record } => {
            let body = record.content.bytes();
            json!({
                "seq": seq.0,
                "kind": kind_name(record.kind),
                "kind_number": record.kind.number(),
                "first_seq": record.first_seq.0,
                "revision": record.revision,
                "time": record.time.0,
                "time_local": record.time.display_local(),
                "salt": hex(&salt.0),
                "body": hex(body),
                "content": content_lines(record.kind, &record.content),
            })
        }
    });
    json!({ "records": entries.collect::<Vec<_>>() })
}

/// What a record says, a line a field, by the names of the format; a retracted record says nothing.
fn content_lines(kind: RecordKind, content: &Content) -> Vec<String> {
    let fact = Body::new(content.bytes().to_vec()).ok().and_then(|body| Fact::decode(kind, &body).ok());
    let text = match fact {
        // The credential stands in a file of its own.
        Some(Fact::Card(record)) => format!("standing: {}", standing_name(record.standing)),
        Some(fact) => format!("{fact:#?}"),
        None => String::new(),
    };
    text.lines().map(str::to_owned).collect()
}

fn kind_name(kind: RecordKind) -> String {
    format!("{kind:?}")
}

const README: &str = "\
DỮ LIỆU CỦA BẠN

Tệp này chứa thông tin, thẻ, điện thoại và mọi hồ sơ mà máy chủ lưu về bạn. Chưa có trong tệp: những gì bạn tự ghi (liên
hệ, ghi chú, nhắc việc, kiến nghị: xem trên điện thoại của bạn) và các ủy quyền cho người chăm sóc.
Hãy giữ kín: ai có tệp này đọc được tất cả.

nguoi-tham-gia.json   thông tin cá nhân
the/                  các thẻ BHYT: .json để đọc, .cose là bản có chữ ký
thiet-bi.json         các điện thoại đang giữ hoặc đã giữ thẻ của bạn
ho-so/                hồ sơ: từng bản ghi theo thứ tự; head.cose là chữ ký trên toàn bộ hồ sơ

YOUR DATA

Your data, cards, phones and every record that the server keeps of you. Not in it yet: what you wrote yourself (contact
details, notes, reminders, petitions: see your phone) and grants to carers.
Keep it private: whoever has this file reads all of it.

To verify: each record's leaf is the CBOR array [seq, kind_number, first_seq, revision, time, SHA-256(salt || body)], its
hash SHA-256(0x00 || leaf); an erased record has its hash alone. The Merkle tree (RFC 9162) over all of them has the root in
ho-so/head.cose, a COSE_Sign1 by a key of the trust bundle. The formats are in docs/formats.md, sections 2 and 6.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn an_export_does_not_take_the_place_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        demand_free(&path).unwrap();
        std::fs::write(&path, b"another member's").unwrap();
        let error = demand_free(&path).unwrap_err();
        assert_eq!(error.exit_code(), Exit::Refused);
        assert!(error.to_string().ends_with("a.zip is there already; nothing was exported"));
    }
}
