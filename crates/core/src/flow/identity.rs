//! Who signs in to Microsoft Entra ID, and in which of Microsoft's clouds: the same services at other
//! addresses, with tokens of their own.

use super::secret::SecretSource;

/// How a connection signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entra {
    /// As whom.
    pub identity: Identity,
    /// In which cloud.
    pub cloud: Cloud,
}

/// Who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The managed identity of the Azure machine that leadflow runs on.
    Managed {
        /// The client ID of a user-assigned one; the system-assigned one without it.
        client_id: Option<String>,
    },
    /// An application with a secret.
    Application {
        /// Directory (tenant) ID, or a domain of the tenant.
        tenant_id: String,
        /// Application (client) ID.
        client_id: String,
        /// Client secret.
        secret: SecretSource,
    },
}

/// One of Microsoft's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cloud {
    /// Azure and Microsoft 365 for everybody, GCC included.
    #[default]
    Public,
    /// Operated by 21Vianet.
    China,
    /// Azure Government and Microsoft 365 GCC High.
    UsGovernment,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Azure Storage.
    Storage,
    /// Microsoft Graph.
    Graph,
    /// SMTP of Exchange Online.
    Smtp,
    /// Azure Database for PostgreSQL.
    Postgres,
}

impl Entra {
    /// A connection's sign-in.
    pub fn new(identity: Identity, cloud: Cloud) -> Self {
        Self { identity, cloud }
    }

    /// Where its secret lies; a managed identity has none.
    pub fn secret(&self) -> Option<&SecretSource> {
        match &self.identity {
            Identity::Managed { .. } => None,
            Identity::Application { secret, .. } => Some(secret),
        }
    }

    /// Who signs in, in words.
    pub fn who(&self) -> String {
        match &self.identity {
            Identity::Managed { client_id: None } => "this machine's managed identity".to_owned(),
            Identity::Managed { client_id: Some(id) } => format!("the managed identity {id}"),
            Identity::Application { client_id, .. } => format!("the application {client_id}"),
        }
    }
}

impl Cloud {
    /// What ends the name of a storage account's table endpoint:
    /// <https://learn.microsoft.com/azure/storage/common/storage-account-overview>.
    pub fn storage_suffix(self) -> &'static str {
        match self {
            Self::Public => "core.windows.net",
            Self::China => "core.chinacloudapi.cn",
            Self::UsGovernment => "core.usgovcloudapi.net",
        }
    }

    /// Where Microsoft Graph is: <https://learn.microsoft.com/graph/deployments>.
    pub fn graph(self) -> &'static str {
        match self {
            Self::Public => "https://graph.microsoft.com",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
            Self::UsGovernment => "https://graph.microsoft.us",
        }
    }

    /// Where Entra ID gives tokens.
    pub fn sign_in_host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::China => "login.chinacloudapi.cn",
            Self::UsGovernment => "login.microsoftonline.us",
        }
    }

    /// The scope to ask a token for. Storage's audiences are those of Microsoft's own clients for
    /// tables (`TableAudience` of Azure.Data.Tables); for SMTP see
    /// <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>,
    /// for PostgreSQL <https://learn.microsoft.com/azure/postgresql/flexible-server/how-to-configure-sign-in-azure-ad-authentication>.
    pub fn scope(self, audience: Audience) -> String {
        let resource = match (audience, self) {
            (Audience::Storage, Self::Public) => "https://storage.azure.com",
            (Audience::Storage, Self::China) => "https://storage.azure.cn",
            (Audience::Storage, Self::UsGovernment) => "https://storage.azure.us",
            (Audience::Graph, _) => self.graph(),
            (Audience::Smtp, Self::Public) => "https://outlook.office365.com",
            (Audience::Smtp, Self::China) => "https://partner.outlook.cn",
            (Audience::Smtp, Self::UsGovernment) => "https://outlook.office365.us",
            (Audience::Postgres, Self::Public) => "https://ossrdbms-aad.database.windows.net",
            (Audience::Postgres, Self::China) => "https://ossrdbms-aad.database.chinacloudapi.cn",
            (Audience::Postgres, Self::UsGovernment) => "https://ossrdbms-aad.database.usgovcloudapi.net",
        };
        format!("{resource}/.default")
    }
}

impl Audience {
    /// The service, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "Azure Storage",
            Self::Graph => "Microsoft Graph",
            Self::Smtp => "Office 365 Exchange Online",
            Self::Postgres => "Azure Database for PostgreSQL",
        }
    }
}
