//! The few pages people see. No script, no outside resource; a strict policy says so to the browser.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// Pages may load their own style sheet and send forms here; the answer to a form leads back to the client.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
     form-action 'self' http://127.0.0.1:* http://localhost:* com.madang.app:";

/// The style of all pages: readable in light and dark, with a visible focus.
const STYLE: &str = "
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 22rem; margin: 12vh auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
label { display: block; margin-top: 1rem; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid #767676; border-radius: .3rem; }
button { font: inherit; margin-top: 1.5rem; margin-right: .5rem; padding: .5rem 1.25rem; border-radius: .3rem;
  border: 1px solid #1c5f9c; background: #1c5f9c; color: #fff; }
button.quiet { background: transparent; color: inherit; border-color: #767676; }
:focus-visible { outline: 3px solid #f0a202; outline-offset: 2px; }
[role=alert] { border-left: .3rem solid #b3261e; padding: .25rem .75rem; }
";

/// The login page. `problem` is what was wrong with the last try.
pub(super) fn login(base: &str, attempt: &str, login: &str, problem: Option<&str>) -> Response {
    let status = if problem.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let body = format!(
        "<form method=\"post\" action=\"{base}/login-actions/authenticate\">{}\
         <input type=\"hidden\" name=\"attempt\" value=\"{}\">{}\
         <button type=\"submit\">Sign in</button></form>",
        alert(problem),
        escape(attempt),
        credentials(login),
    );
    page(status, "Sign in to Madang", &body)
}

/// The page where somebody lets a device in.
pub(super) fn device(base: &str, user_code: &str, login: &str, problem: Option<&str>) -> Response {
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let body = format!(
        "<p>Enter the code that the device shows. Go on only if you started this yourself.</p>\
         <form method=\"post\" action=\"{base}/device\">{}\
         <label for=\"code\">Code</label><input id=\"code\" name=\"user_code\" value=\"{}\" required \
         autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\">{}\
         <button type=\"submit\" name=\"answer\" value=\"allow\">Sign the device in</button>\
         <button type=\"submit\" name=\"answer\" value=\"deny\" class=\"quiet\" formnovalidate>Refuse</button></form>",
        alert(problem),
        escape(user_code),
        credentials(login),
    );
    page(status, "Sign a device in", &body)
}

/// A page that only tells something.
pub(super) fn notice(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, title, &format!("<p>{}</p>", escape(text)))
}

/// The style sheet.
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")], STYLE)
}

fn credentials(login: &str) -> String {
    format!(
        "<label for=\"login\">Login</label><input id=\"login\" name=\"login\" value=\"{}\" required \
         autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" autofocus>\
         <label for=\"password\">Password</label><input id=\"password\" name=\"password\" type=\"password\" required \
         autocomplete=\"current-password\">",
        escape(login)
    )
}

fn alert(problem: Option<&str>) -> String {
    problem.map(|text| format!("<p role=\"alert\">{}</p>", escape(text))).unwrap_or_default()
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/realms/madang/style.css\"></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(html)).into_response()
}

/// Text as HTML shows it, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}
