import MartletTensors
import Testing

@Suite struct SymmetricProductTests {
    @Test(arguments: [[5, 9], [70, 33], [130, 200], [200, 130]]) func gramIsTheSmallerSquare(_ extents: [Int]) {
        var random = TestRandom(3)
        let (rows, columns) = (extents[0], extents[1])
        let device = Device(threads: 3)
        let values = random.floats(rows * columns)
        let found = device.tensor(values, shape: [rows, columns]).gram()
        let size = min(rows, columns)
        #expect(found.shape == [size, size])
        let products = found.values
        func element(_ i: Int, _ k: Int) -> Float { rows > columns ? values[k * columns + i] : values[i * columns + k] }
        for i in 0..<size {
            for j in 0..<size {
                var sum: Float = 0
                for k in 0..<max(rows, columns) { sum = sum.addingProduct(element(i, k), element(j, k)) }
                #expect(products[i * size + j] == sum, "\(i), \(j)")
            }
        }
    }

    @Test func polynomialsOfOneMatrixMultiply() {
        var random = TestRandom(4)
        let device = Device(threads: 2)
        let x = device.tensor(random.floats(90 * 120, -0.1...0.1), shape: [90, 120]).gram()
        let square = x.multiplied(byCommuting: x)
        let plain = x.multiplied(byTransposed: x, on: device)
        for (a, b) in zip(square.values, plain.values) { #expect(abs(a - b) < 1e-5) }
        square.blend(2, x, -1)
        for (value, (a, b)) in zip(square.values, zip(plain.values, x.values)) {
            #expect(abs(value - (2 * a - b)) < 2e-5)
        }
    }
}
