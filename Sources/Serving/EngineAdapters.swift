package import MartletLayers

/// The adapters of a decoder that the requests of an engine may select.
package struct EngineAdapters: Sendable {
    /// The selection by which a pass of the decoder says which rows select which; nil where there are none.
    package var selection: AdapterSelection?
    package var count = 0

    package init() {}

    package init(_ selection: AdapterSelection, count: Int) {
        if count > 0 { (self.selection, self.count) = (selection, count) }
    }
}
