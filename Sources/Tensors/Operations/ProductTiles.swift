/// The tiling of the product of many rows among threads: rows that stay in the second-level cache while all panels of a
/// share pass over them.
///
/// The number of threads changes no bit: an output depends on its row and its column alone.
struct ProductTiles {
    private let rows: Int
    private let panels: Int
    /// Rows are cut into this many tiles, panels into this many shares.
    private let tiles: Int
    private let shares: Int
    /// Multiples of what the kernels hold in registers.
    private static let grain = 6

    init(rows: Int, rowBytes: Int, panels: Int) {
        (self.rows, self.panels) = (rows, panels)
        // Half of the cache for the rows; below a hundred of them, panels would be streamed too often.
        let fitting = min(252, max(126, (1 << 20) / max(1, rowBytes)))
        tiles = rows <= 252 ? 1 : (rows + fitting - 1) / fitting
        // Few rows are read once; their panels are the shares.
        shares = tiles == 1 ? panels : min(panels, 4)
    }

    /// Runs `body` on rows and panels until all are done with all.
    ///
    /// - Parameter cost: of one row and panel.
    func run(cost: Int, on device: Device, _ body: (_ rows: Range<Int>, _ panels: Range<Int>) -> Void) {
        if tiles == 1 {
            return device.parallel(panels, cost: cost * max(rows, 1)) { body(0..<rows, $0) }
        }
        device.parallel(tiles * shares, cost: cost * (rows / tiles) * (panels / shares + 1)) { range in
            for item in range {
                let (tile, share) = (item / shares, item % shares)
                body(bound(tile)..<bound(tile + 1), panels * share / shares..<panels * (share + 1) / shares)
            }
        }
    }

    private func bound(_ tile: Int) -> Int {
        tile == tiles ? rows : rows * tile / tiles / ProductTiles.grain * ProductTiles.grain
    }
}
