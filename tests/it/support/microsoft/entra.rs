//! The token endpoint of Entra ID, and the metadata service of a virtual machine.

use leadflow::platform::clock::Clock;
use serde_json::json;

use super::http::{Request, pair, response};
use super::{APPLICATION, State, TENANT};

/// `POST /{tenant}/oauth2/v2.0/token`:
/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#get-a-token>;
/// errors: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
pub(super) fn token(request: &Request, state: &mut State) -> Vec<u8> {
    let field = |name: &str| pair(&request.body, name).unwrap_or_default();
    let tenant = request.path().split('/').nth(1).unwrap_or_default();
    let (client, scope) = (field("client_id"), field("scope"));
    if request.method != "POST" || request.path() != format!("/{tenant}/oauth2/v2.0/token") {
        return response("404 Not Found", &[], "");
    }
    if field("grant_type") != "client_credentials" {
        return refusal(
            "400 Bad Request",
            "unsupported_grant_type",
            70_003,
            "The app requested an unsupported grant type.",
        );
    }
    if tenant != TENANT {
        let words = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return refusal("400 Bad Request", "invalid_request", 90_002, &words);
    }
    if client != APPLICATION {
        let words =
            format!("Application with identifier '{client}' was not found in the directory 'Contoso'.");
        return refusal("400 Bad Request", "unauthorized_client", 700_016, &words);
    }
    if field("client_secret") != state.secret {
        let words = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."
        );
        return refusal("401 Unauthorized", "invalid_client", 7_000_215, &words);
    }
    if state.is_secret_expired {
        let words = format!(
            "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys for your app."
        );
        return refusal("401 Unauthorized", "invalid_client", 7_000_222, &words);
    }
    let Some(resource) = scope.strip_suffix("/.default").filter(|resource| resource.starts_with("https://"))
    else {
        let words = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier."
        );
        return refusal("400 Bad Request", "invalid_scope", 1_002_012, &words);
    };
    // A token is given whatever was consented to; it then lacks the role, and the resource refuses it.
    let access_token = state.issue(resource, &client);
    let body = json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": access_token });
    response("200 OK", &["Cache-Control: no-store, no-cache".to_owned()], &body.to_string())
}

fn refusal(status: &str, error: &str, code: u64, words: &str) -> Vec<u8> {
    let description = format!(
        "AADSTS{code}: {words} Trace ID: 0b6d1f8a-0000-4000-8000-000000000001 Correlation ID: 6b1f0000-0000-4000-8000-000000000002 Timestamp: 2026-11-22 08:00:00Z"
    );
    let body = json!({
        "error": error, "error_description": description, "error_codes": [code], "timestamp": "2026-11-22 08:00:00Z",
        "trace_id": "0b6d1f8a-0000-4000-8000-000000000001", "correlation_id": "6b1f0000-0000-4000-8000-000000000002",
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    response(status, &[], &body.to_string())
}

/// `GET /metadata/identity/oauth2/token`:
/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.
pub(super) fn metadata(request: &Request, state: &mut State) -> Vec<u8> {
    state.asked.push(format!("{} imds{}", request.method, request.path()));
    let wrong = |words: &str| {
        response(
            "400 Bad Request",
            &[],
            &json!({ "error": "invalid_request", "error_description": words }).to_string(),
        )
    };
    if request.path() != "/metadata/identity/oauth2/token" || request.method != "GET" {
        return response("404 Not Found", &[], "");
    }
    // "The request must have the header Metadata: true", and a request that went through a proxy has
    // X-Forwarded-For and is rejected: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#security-and-authentication
    if request.header("metadata") != Some("true") || request.header("x-forwarded-for").is_some() {
        return wrong("Required metadata header not specified");
    }
    match state.imds_trouble.pop_front() {
        // "429 Too many requests: IMDS Throttle limit reached", "5xx Transient error"
        Some(429) => return response("429 Too Many Requests", &[], ""),
        Some(status) => return response(&format!("{status} Trouble"), &[], ""),
        None => {}
    }
    let Some(resource) = request.query("resource").filter(|_| request.query("api-version").is_some()) else {
        return wrong("A required parameter is missing");
    };
    let client = request.query("client_id").unwrap_or_default();
    if !state.identities.contains(&client) {
        return wrong("Identity not found");
    }
    // The service keeps a token and gives the same one until shortly before its end.
    let kept =
        state.tokens.iter().find(|token| !token.is_over && token.audience == resource && token.to == client);
    let access_token = kept.map(|token| token.token.clone());
    let access_token = access_token.unwrap_or_else(|| state.issue(&resource, &client));
    let now = Clock::System.now().as_second();
    let body = json!({
        "access_token": access_token, "client_id": client, "expires_in": "86399", "expires_on": (now + 86_399).to_string(),
        "ext_expires_in": "86399", "not_before": (now - 300).to_string(), "resource": resource, "token_type": "Bearer",
    });
    response("200 OK", &[], &body.to_string())
}
