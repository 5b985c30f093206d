import MartletPlatform
import Synchronization

/// The mode of the terminal: as it was found, or key by key.
enum TerminalMode {
    /// The mode as it was found; nil while it is that.
    private static let found = Mutex<termios?>(nil)

    /// Every key comes as it is pressed, and is not shown.
    ///
    /// - Parameter interrupts: whether Ctrl-C is a signal, not a key.
    static func takeKeys(interrupts: Bool) {
        found.withLock { found in
            var mode = termios()
            guard unsafe tcgetattr(0, &mode) == 0 else { return }
            if found == nil { found = mode }
            mode.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN | ISIG)
            if interrupts { mode.c_lflag |= tcflag_t(ISIG) }
            mode.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | BRKINT | ISTRIP)
            unsafe withUnsafeMutableBytes(of: &mode.c_cc) { keys in
                unsafe (keys[Int(VMIN)], keys[Int(VTIME)], keys[Int(VQUIT)], keys[Int(VSUSP)]) = (1, 0, 0, 0)
            }
            // What was typed meanwhile stays.
            _ = unsafe tcsetattr(0, TCSADRAIN, &mode)
        }
    }

    /// The terminal as it was found.
    static func restore() {
        found.withLock { found in
            guard var mode = found else { return }
            _ = unsafe tcsetattr(0, TCSADRAIN, &mode)
            found = nil
        }
    }

    /// The size of the screen; 80 by 24 where it is not known.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        let isKnown = unsafe ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 && size.ws_row > 0
        return isKnown ? (max(8, Int(size.ws_col)), max(2, Int(size.ws_row))) : (80, 24)
    }
}
