// Package charts holds the Helm charts; its tests judge what they render.
package charts
