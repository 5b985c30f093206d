// What a model takes, before anything is downloaded: `swift run plans`.
import MartletPlanning

let model = try Preset.model(named: "llama-3-8b")
var request = PlanRequest()
request.context = 8_192
let plan = try Plan(model, request)
for section in plan.sections {
    print(section.name)
    for (key, quantity) in section.entries { print("   ", key, quantity.readable) }
}
