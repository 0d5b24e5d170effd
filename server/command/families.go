package command

// families lists the rows of this package, one slice per family.
var families = [][]Row{stringRows, bitmapRows, hashRows, setRows, genericRows, connectionRows, transactionRows, serverRows, pubsubRows}
