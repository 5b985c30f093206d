import CMartletPage
package import MartletJSON

/// The page: `/`, `/page.css`, `/page.js`, from the binary.
package enum PageRoutes {
    private enum Part {
        case html, css, javaScript

        var bytes: [UInt8] {
            switch self {
            case .html: unsafe Part.bytes(martlet_page_html())
            case .css: unsafe Part.bytes(martlet_page_css())
            case .javaScript: unsafe Part.bytes(martlet_page_js())
            }
        }

        private static func bytes(_ part: martlet_page_part) -> [UInt8] {
            unsafe Array(UnsafeBufferPointer(start: part.bytes, count: part.count))
        }
    }

    static func html(_ job: Job) async throws -> APIResponse {
        answer("text/html; charset=utf-8", Part.html.bytes)
    }

    static func css(_ job: Job) async throws -> APIResponse {
        answer("text/css; charset=utf-8", Part.css.bytes)
    }

    static func javaScript(_ job: Job) async throws -> APIResponse {
        answer("text/javascript; charset=utf-8", Part.javaScript.bytes)
    }

    /// The answer with a part of the page: nothing but what comes from here runs, and nobody frames it.
    private static func answer(_ type: String, _ bytes: [UInt8]) -> APIResponse {
        var response = APIResponse(type: type, .whole(bytes))
        response.headers += [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                    + "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-cache"),
        ]
        return response
    }

    /// The page as one file about one look.
    package static func file(about look: JSON) -> [UInt8] {
        var data = String(decoding: look.serialized(), as: UTF8.self)
        // No text of a token may end the script.
        data = data.replacing("<", with: "\\u003c")
        let html = String(decoding: Part.html.bytes, as: UTF8.self)
        let css = String(decoding: Part.css.bytes, as: UTF8.self)
        let script = String(decoding: Part.javaScript.bytes, as: UTF8.self)
        let page =
            html.replacing(#"<link rel="stylesheet" href="page.css">"#, with: "<style>\n\(css)</style>")
            .replacing(
                #"<script src="page.js"></script>"#,
                with: "<script>window.martletLook = \(data);</script>\n<script>\n\(script)</script>")
        return Array(page.utf8)
    }
}
