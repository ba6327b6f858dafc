//! Azurite, one for all tests, each with tables of its own.

use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use leadflow::platform::clock::Clock;
use serde_json::{Value, json};
use sha2::Sha256;

use super::eventually;
use super::servers::{Server, folder};

pub(crate) const ACCOUNT: &str = "devstoreaccount1";
/// Published: <https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>.
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

struct Azurite {
    _server: Server,
    port: u16,
    _data: tempfile::TempDir,
}

fn azurite() -> &'static Azurite {
    static AZURITE: OnceLock<Azurite> = OnceLock::new();
    AZURITE.get_or_init(|| {
        let data = tempfile::tempdir().unwrap();
        let port = free_port();
        let place = data.path().display().to_string();
        let program = folder().join("node_modules/.bin/azurite-table").display().to_string();
        let arguments =
            ["--import", "./leash.mjs", &program, "--silent", "--disableTelemetry", "--skipApiVersionCheck"];
        let rest = ["--tableHost", "127.0.0.1", "--tablePort", &port.to_string(), "--location", &place]
            .map(str::to_owned);
        let arguments: Vec<String> = arguments.map(str::to_owned).into_iter().chain(rest).collect();
        let server = Server::start(&arguments);
        eventually("Azurite to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        Azurite { _server: server, port, _data: data }
    })
}

/// A port below those that the system gives away by itself, which another server could get first.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A connection string for Azurite with this key.
pub(crate) fn connection_string(key: &str) -> String {
    let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", azurite().port);
    format!("DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};TableEndpoint={endpoint};")
}

/// A table that no other test has.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
}

impl Table {
    pub(crate) async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let table = Self { name: format!("leads{}", COUNT.fetch_add(1, Ordering::Relaxed)) };
        request(&client(), "POST", "Tables", &json!({ "TableName": table.name })).await;
        table
    }

    /// Inserts rows, many at a time.
    pub(crate) async fn insert(&self, rows: &[Value]) {
        let client = client();
        let each = stream::iter(rows).map(|row| request(&client, "POST", &self.name, row));
        each.buffer_unordered(16).collect::<Vec<_>>().await;
    }

    /// As [`Self::create`], for tests without a runtime.
    pub(crate) fn create_here() -> Self {
        runtime().block_on(Self::create())
    }

    /// As [`Self::insert`], for tests without a runtime.
    pub(crate) fn insert_here(&self, rows: &[Value]) {
        runtime().block_on(self.insert(rows));
    }

    /// Merges columns into a row, which moves its `Timestamp`.
    pub(crate) async fn merge(&self, partition: &str, row: &str, columns: &Value) {
        let path = format!("{}(PartitionKey='{partition}',RowKey='{row}')", self.name);
        request(&client(), "MERGE", &path, columns).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A signed request.
async fn request(client: &reqwest::Client, method: &str, path: &str, body: &Value) {
    let (date, authorization) = signature(path);
    let url = format!("http://127.0.0.1:{}/{ACCOUNT}/{path}", port());
    let response = client
        .request(method.parse().unwrap(), url)
        .header("x-ms-date", date)
        .header("x-ms-version", "2019-02-02")
        .header("accept", "application/json;odata=nometadata")
        .header("prefer", "return-no-content")
        .header("if-match", "*")
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = response.status();
    assert!(status.is_success(), "{method} {path}: {status} {}", response.text().await.unwrap());
}

/// `x-ms-date` and `Authorization` ("Shared Key Lite") for a path below the account:
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.
pub(crate) fn signature(path: &str) -> (String, String) {
    let date = Clock::System.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(KEY).unwrap()).unwrap();
    mac.update(format!("{date}\n/{ACCOUNT}/{ACCOUNT}/{path}").as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    (date, format!("SharedKeyLite {ACCOUNT}:{signature}"))
}

pub(crate) fn port() -> u16 {
    azurite().port
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
