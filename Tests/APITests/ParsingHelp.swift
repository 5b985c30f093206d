import MartletJSON
import MartletTemplates

/// Templates as the tests render them.
enum ChatTemplateText {
    static func render(_ template: String, _ messages: JSON) throws -> String {
        try ChatTemplate(template).render(messages: messages)
    }
}
