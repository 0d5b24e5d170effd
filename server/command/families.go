package command

// families lists the rows of this package, one slice per family and line.
var families = [][]Row{
	stringRows,
	bitmapRows,
	hashRows,
	streamRows,
	listRows,
	setRows,
	hyperloglogRows,
	zsetRows,
	geoRows,
	genericRows,
	sortRows,
	connectionRows,
	transactionRows,
	serverRows,
	aclRows,
	pubsubRows,
	scriptingRows,
	clusterRows,
}
