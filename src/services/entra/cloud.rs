//! Microsoft's clouds: the same services at other addresses, with tokens of their own.

use azure_core_1::cloud::CloudConfiguration;

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
    pub(super) fn sign_in_host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::China => "login.chinacloudapi.cn",
            Self::UsGovernment => "login.microsoftonline.us",
        }
    }

    /// The scope to ask a token for. Storage's audiences are those of Microsoft's own clients for
    /// tables (`TableAudience` of Azure.Data.Tables); for SMTP see
    /// <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>.
    pub fn scope(self, audience: Audience) -> String {
        let resource = match (audience, self) {
            (Audience::Storage, Self::Public) => "https://storage.azure.com",
            (Audience::Storage, Self::China) => "https://storage.azure.cn",
            (Audience::Storage, Self::UsGovernment) => "https://storage.azure.us",
            (Audience::Graph, _) => self.graph(),
            (Audience::Smtp, Self::Public) => "https://outlook.office365.com",
            (Audience::Smtp, Self::China) => "https://partner.outlook.cn",
            (Audience::Smtp, Self::UsGovernment) => "https://outlook.office365.us",
        };
        format!("{resource}/.default")
    }

    pub(super) fn configuration(self) -> CloudConfiguration {
        match self {
            Self::Public => CloudConfiguration::AzurePublic,
            Self::China => CloudConfiguration::AzureChina,
            Self::UsGovernment => CloudConfiguration::AzureGovernment,
        }
    }
}

impl Audience {
    /// The service, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "Azure Storage",
            Self::Graph => "Microsoft Graph",
            Self::Smtp => "Office 365 Exchange Online",
        }
    }
}
