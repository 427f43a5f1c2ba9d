//! Rows in the binary format of COPY (PostgreSQL documentation, "COPY", "Binary Format"), written straight into the
//! buffer that is sent.

use ipnet::IpNet;
use uuid::Uuid;

/// What stands before the first row.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands after the last row.
pub const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Writes one row, field by field, in the order of the COPY's columns.
pub struct RowWriter<'a>(&'a mut Vec<u8>);

impl<'a> RowWriter<'a> {
    /// Begins a row of so many fields.
    pub fn begin(buffer: &'a mut Vec<u8>, fields: i16) -> Self {
        buffer.extend_from_slice(&fields.to_be_bytes());
        Self(buffer)
    }

    /// `bytea` and `text` look alike. A field can hold 1 GiB, far more than any request.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// `text`.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// `text`, or NULL.
    pub fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// `uuid`.
    pub fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// `smallint`.
    pub fn int2(&mut self, value: i16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// `integer`.
    pub fn int4(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// NULL.
    pub fn null(&mut self) -> &mut Self {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    /// `jsonb`: its version, then text; or NULL.
    pub fn optional_json(&mut self, value: Option<&[u8]>) -> &mut Self {
        const VERSION: u8 = 1;
        let Some(json) = value else {
            return self.null();
        };
        let length = i32::try_from(json.len() + 1).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.push(VERSION);
        self.0.extend_from_slice(json);
        self
    }

    /// `inet`: family (2 for IPv4, 3 for IPv6), prefix bits, "is a cidr", length, address.
    pub fn address(&mut self, value: Option<IpNet>) -> &mut Self {
        match value {
            None => self.null(),
            Some(IpNet::V4(v4)) => {
                let [a, b, c, d] = v4.addr().octets();
                self.bytes(&[2, v4.prefix_len(), 0, 4, a, b, c, d])
            }
            Some(IpNet::V6(v6)) => {
                let mut field = [0; 20];
                field[..4].copy_from_slice(&[3, v6.prefix_len(), 0, 16]);
                field[4..].copy_from_slice(&v6.addr().octets());
                self.bytes(&field)
            }
        }
    }
}
